-- Fills the tables of revision 0005 from the rows that there are; both databases understand all of it. No arguments;
-- statements are separated by lines of two dashes and "next".
INSERT INTO ledger_first_answer (tenant, intent, attempt_id)
SELECT tenant, intent, min(id) FROM ledger_attempt
WHERE intent IS NOT NULL AND images > 0 AND state IN ('settled', 'reconciled')
GROUP BY tenant, intent;
-- next
UPDATE ledger_rollup SET answers = found.answers, intents = found.intents
FROM (
    SELECT
        attempt.day, attempt.org, attempt.model, attempt.tenant, attempt.priority,
        count(*) AS answers, count(answer.attempt_id) AS intents
    FROM ledger_attempt AS attempt LEFT JOIN ledger_first_answer AS answer
        ON answer.tenant = attempt.tenant AND answer.intent = attempt.intent AND answer.attempt_id = attempt.id
    WHERE attempt.intent IS NOT NULL AND attempt.images > 0 AND attempt.state IN ('settled', 'reconciled')
    GROUP BY attempt.day, attempt.org, attempt.model, attempt.tenant, attempt.priority
) AS found
WHERE ledger_rollup.day = found.day AND ledger_rollup.org = found.org AND ledger_rollup.model = found.model
    AND ledger_rollup.tenant = found.tenant AND ledger_rollup.priority = found.priority;
-- next
INSERT INTO ledger_tag_rollup (
    day, org, model, tenant, priority, tags_key, settled_nano, held_nano, in_doubt_nano, voided_nano, over_bound_nano,
    settled, held, in_doubt, voided, reconciled, over_bound, images, answers, intents
)
SELECT
    attempt.day, attempt.org, attempt.model, attempt.tenant, attempt.priority, named.key,
    sum(CASE WHEN attempt.state IN ('settled', 'reconciled') THEN attempt.usd_nano ELSE 0 END),
    sum(CASE WHEN attempt.state = 'held' THEN attempt.upper_bound_nano ELSE 0 END),
    sum(CASE WHEN attempt.state = 'in_doubt' THEN attempt.upper_bound_nano ELSE 0 END),
    sum(CASE WHEN attempt.state = 'voided' THEN attempt.upper_bound_nano ELSE 0 END),
    sum(
        CASE WHEN attempt.state IN ('settled', 'reconciled') AND attempt.usd_nano > attempt.upper_bound_nano
        THEN attempt.usd_nano - attempt.upper_bound_nano ELSE 0 END
    ),
    sum(CASE WHEN attempt.state = 'settled' THEN 1 ELSE 0 END),
    sum(CASE WHEN attempt.state = 'held' THEN 1 ELSE 0 END),
    sum(CASE WHEN attempt.state = 'in_doubt' THEN 1 ELSE 0 END),
    sum(CASE WHEN attempt.state = 'voided' THEN 1 ELSE 0 END),
    sum(CASE WHEN attempt.state = 'reconciled' THEN 1 ELSE 0 END),
    sum(
        CASE WHEN attempt.state IN ('settled', 'reconciled') AND attempt.usd_nano > attempt.upper_bound_nano
        THEN 1 ELSE 0 END
    ),
    sum(attempt.images),
    sum(
        CASE WHEN attempt.intent IS NOT NULL AND attempt.images > 0 AND attempt.state IN ('settled', 'reconciled')
        THEN 1 ELSE 0 END
    ),
    count(answer.attempt_id)
FROM ledger_attempt AS attempt
JOIN ledger_tags AS named ON named.tags = attempt.tags
LEFT JOIN ledger_first_answer AS answer
    ON answer.tenant = attempt.tenant AND answer.intent = attempt.intent AND answer.attempt_id = attempt.id
GROUP BY attempt.day, attempt.org, attempt.model, attempt.tenant, attempt.priority, named.key;
-- next
INSERT INTO ledger_tag_rollup (day, org, model, tenant, priority, tags_key, kept_images)
SELECT outcome.day, outcome.org, outcome.model, outcome.tenant, outcome.priority, named.key, sum(outcome.kept_images)
FROM ledger_outcome AS outcome JOIN ledger_tags AS named ON named.tags = outcome.tags
WHERE outcome.kept_images > 0
GROUP BY outcome.day, outcome.org, outcome.model, outcome.tenant, outcome.priority, named.key
ON CONFLICT (day, org, model, tenant, priority, tags_key)
DO UPDATE SET kept_images = ledger_tag_rollup.kept_images + excluded.kept_images;
-- next
INSERT INTO ledger_tag_rollup (
    day, org, model, tenant, priority, tags_key, cache_hits, coalesced, saved_nano, saved_cache_nano,
    saved_coalesced_nano, saved_batch_nano, saved_overflow_nano
)
SELECT
    saving.day, saving.org, saving.model, saving.tenant, saving.priority, named.key,
    sum(CASE WHEN saving.kind = 'cache' THEN 1 ELSE 0 END),
    sum(CASE WHEN saving.kind = 'coalesced' THEN 1 ELSE 0 END),
    sum(saving.usd_nano),
    sum(CASE WHEN saving.kind = 'cache' THEN saving.usd_nano ELSE 0 END),
    sum(CASE WHEN saving.kind = 'coalesced' THEN saving.usd_nano ELSE 0 END),
    sum(CASE WHEN saving.kind = 'batch' THEN saving.usd_nano ELSE 0 END),
    sum(CASE WHEN saving.kind = 'overflow' THEN saving.usd_nano ELSE 0 END)
FROM ledger_saving AS saving JOIN ledger_tags AS named ON named.tags = saving.tags
WHERE saving.tags <> '{}'
GROUP BY saving.day, saving.org, saving.model, saving.tenant, saving.priority, named.key
ON CONFLICT (day, org, model, tenant, priority, tags_key)
DO UPDATE SET
    cache_hits = ledger_tag_rollup.cache_hits + excluded.cache_hits,
    coalesced = ledger_tag_rollup.coalesced + excluded.coalesced,
    saved_nano = ledger_tag_rollup.saved_nano + excluded.saved_nano,
    saved_cache_nano = ledger_tag_rollup.saved_cache_nano + excluded.saved_cache_nano,
    saved_coalesced_nano = ledger_tag_rollup.saved_coalesced_nano + excluded.saved_coalesced_nano,
    saved_batch_nano = ledger_tag_rollup.saved_batch_nano + excluded.saved_batch_nano,
    saved_overflow_nano = ledger_tag_rollup.saved_overflow_nano + excluded.saved_overflow_nano;
