-- Rules of the ledger as queries that find what breaks them: no row means that the rule holds. No arguments.
-- A block begins with a line "check MARK | TABLE THAT IS COUNTED | WHAT HOLDS"; both databases understand all of them.

-- check L1 | ledger_entry | every entry moves one amount from one account to another
SELECT writer_id AS writer, seq FROM ledger_entry WHERE amount_nano < 0 OR debit = credit LIMIT 1

-- check L1 | ledger_entry | held, doubt and spent are what the attempts say
SELECT account, sum(amount) AS off_by_nano
FROM (
    SELECT debit AS account, amount_nano AS amount FROM ledger_entry WHERE kind <> 'correction'
    UNION ALL
    SELECT credit, -amount_nano FROM ledger_entry WHERE kind <> 'correction'
    UNION ALL
    SELECT 'held:' || org, -upper_bound_nano FROM ledger_attempt WHERE state = 'held'
    UNION ALL
    SELECT 'doubt:' || org, -upper_bound_nano FROM ledger_attempt WHERE state = 'in_doubt'
    UNION ALL
    SELECT 'spent:' || org, -usd_nano FROM ledger_attempt WHERE state IN ('settled', 'reconciled')
) AS moved
WHERE account LIKE 'held:%' OR account LIKE 'doubt:%' OR account LIKE 'spent:%'
GROUP BY account HAVING sum(amount) <> 0 LIMIT 1

-- check L1 | ledger_grant | credits are worth what was paid for those that are left
SELECT account, sum(amount) AS off_by_nano
FROM (
    SELECT debit AS account, amount_nano AS amount FROM ledger_entry
    UNION ALL
    SELECT credit, -amount_nano FROM ledger_entry
    UNION ALL
    SELECT 'credits:' || org, -paid_left_nano FROM ledger_grant
) AS moved
WHERE account LIKE 'credits:%'
GROUP BY account HAVING sum(amount) <> 0 LIMIT 1

-- check L5 | ledger_grant | every credit is left or drawn
SELECT granted.id AS grant_id, granted.org
FROM ledger_grant AS granted
LEFT JOIN (
    SELECT grant_id, sum(credits) AS drawn FROM ledger_draw WHERE returned_at_us IS NULL GROUP BY grant_id
) AS draws ON draws.grant_id = granted.id
WHERE granted.credits - granted.credits_left <> coalesce(draws.drawn, 0) LIMIT 1

-- check L3 | ledger_attempt | attempts of a job are numbered 1, 2, 3, ...
SELECT job_id AS job FROM ledger_attempt GROUP BY job_id HAVING max(n) <> count(*) OR min(n) <> 1 LIMIT 1

-- check L3 | ledger_entry | every entry of an attempt has its attempt
SELECT entry.writer_id AS writer, entry.seq
FROM ledger_entry AS entry LEFT JOIN ledger_attempt AS attempt ON attempt.id = entry.attempt_id
WHERE entry.attempt_id IS NOT NULL AND attempt.id IS NULL LIMIT 1

-- check L4 | ledger_attempt | every attempt was held once and resolved once, for the cost on its row
SELECT attempt.id AS attempt, attempt.job_id AS job, attempt.state
FROM ledger_attempt AS attempt
LEFT JOIN (
    SELECT
        attempt_id,
        sum(CASE WHEN kind = 'hold' THEN 1 ELSE 0 END) AS holds,
        sum(CASE WHEN kind = 'settle' THEN 1 ELSE 0 END) AS settles,
        sum(CASE WHEN kind = 'void' THEN 1 ELSE 0 END) AS voids,
        sum(CASE WHEN kind = 'doubt' THEN 1 ELSE 0 END) AS doubts,
        sum(CASE WHEN kind = 'reconcile' THEN 1 ELSE 0 END) AS reconciles,
        sum(CASE WHEN kind IN ('settle', 'reconcile', 'overrun') THEN amount_nano ELSE 0 END) AS spent_nano
    FROM ledger_entry WHERE attempt_id IS NOT NULL GROUP BY attempt_id
) AS entries ON entries.attempt_id = attempt.id
WHERE entries.attempt_id IS NULL
    OR entries.holds <> 1
    OR entries.settles <> CASE WHEN attempt.state = 'settled' THEN 1 ELSE 0 END
    OR entries.voids <> CASE WHEN attempt.state = 'voided' THEN 1 ELSE 0 END
    OR entries.doubts <> CASE WHEN attempt.state IN ('in_doubt', 'reconciled') THEN 1 ELSE 0 END
    OR entries.reconciles <> CASE WHEN attempt.state = 'reconciled' THEN 1 ELSE 0 END
    OR entries.spent_nano <> coalesce(attempt.usd_nano, 0)
LIMIT 1

-- check L7 | ledger_outcome | every success has its settled attempt, at the same cost
SELECT outcome.job_id AS job, outcome.attempt_id AS attempt
FROM ledger_outcome AS outcome LEFT JOIN ledger_attempt AS attempt ON attempt.id = outcome.attempt_id
WHERE outcome.status = 'succeeded' AND NOT outcome.cached
    AND (
        attempt.id IS NULL OR attempt.job_id <> outcome.job_id OR attempt.state <> 'settled'
        OR attempt.usd_nano <> outcome.usd_nano
    )
LIMIT 1

-- check L7 | ledger_attempt | every settled attempt has an outcome of its job
SELECT attempt.id AS attempt, attempt.job_id AS job
FROM ledger_attempt AS attempt LEFT JOIN ledger_outcome AS outcome ON outcome.job_id = attempt.job_id
WHERE attempt.state = 'settled' AND outcome.job_id IS NULL LIMIT 1

-- check L12 | ledger_entry | entries name the catalog that priced their attempt
SELECT entry.writer_id AS writer, entry.seq, attempt.id AS attempt
FROM ledger_entry AS entry JOIN ledger_attempt AS attempt ON attempt.id = entry.attempt_id
WHERE entry.catalog_version <> attempt.catalog_version OR attempt.catalog_version = '' LIMIT 1

-- check L5 | ledger_cap | caps that were set by hand stand in the chain as they were set
SELECT cap.kind, cap.name, cap.limit_nano
FROM ledger_cap AS cap
LEFT JOIN (
    SELECT debit, at_us, memo, seq FROM ledger_entry WHERE kind = 'cap'
) AS entry ON entry.debit = 'cap:' || cap.kind || ':' || cap.name AND entry.at_us = cap.set_at_us
    AND entry.memo = cap.state || ' ' || coalesce(cap.limit_nano, 0) || ' by ' || cap.set_by || ': ' || cap.reason
WHERE entry.seq IS NULL LIMIT 1
