-- What the ledger refuses on SQLite. No arguments; statements are separated by lines of two dashes and "next".
-- Entries: only INSERT.
CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'ledger_entry is append-only: book a correcting entry');
END;
-- next
CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'ledger_entry is append-only: book a correcting entry');
END;
-- next
-- Attempts: never deleted, and their state goes held -> settled | voided | in_doubt -> reconciled only.
CREATE TRIGGER ledger_attempt_no_delete BEFORE DELETE ON ledger_attempt
BEGIN
    SELECT RAISE(ABORT, 'ledger_attempt keeps every attempt');
END;
-- next
CREATE TRIGGER ledger_attempt_path BEFORE UPDATE ON ledger_attempt
WHEN NOT (
    (OLD.state = 'held' AND NEW.state IN ('settled', 'voided', 'in_doubt'))
    OR (OLD.state = 'in_doubt' AND NEW.state = 'reconciled')
) OR OLD.id <> NEW.id OR OLD.job_id <> NEW.job_id OR OLD.n <> NEW.n OR OLD.org <> NEW.org
    OR OLD.upper_bound_nano <> NEW.upper_bound_nano OR OLD.day <> NEW.day OR OLD.catalog_version <> NEW.catalog_version
BEGIN
    SELECT RAISE(ABORT, 'ledger_attempt is resolved once: held -> settled | voided | in_doubt -> reconciled');
END;
