-- What the ledger refuses on PostgreSQL. No arguments; statements are separated by lines of two dashes and "next".
-- Entries: only INSERT.
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0];
END
$body$;
-- next
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry
FOR EACH ROW EXECUTE FUNCTION ledger_refuse('ledger_entry is append-only: book a correcting entry');
-- next
CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE ON ledger_entry
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('ledger_entry is append-only: book a correcting entry');
-- next
-- Attempts: never deleted, and their state goes held -> settled | voided | in_doubt -> reconciled only.
CREATE TRIGGER ledger_attempt_no_delete BEFORE DELETE ON ledger_attempt
FOR EACH ROW EXECUTE FUNCTION ledger_refuse('ledger_attempt keeps every attempt');
-- next
CREATE TRIGGER ledger_attempt_no_truncate BEFORE TRUNCATE ON ledger_attempt
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('ledger_attempt keeps every attempt');
-- next
CREATE TRIGGER ledger_attempt_path BEFORE UPDATE ON ledger_attempt
FOR EACH ROW WHEN (
    NOT (
        (OLD.state = 'held' AND NEW.state IN ('settled', 'voided', 'in_doubt'))
        OR (OLD.state = 'in_doubt' AND NEW.state = 'reconciled')
    ) OR OLD.id <> NEW.id OR OLD.job_id <> NEW.job_id OR OLD.n <> NEW.n OR OLD.org <> NEW.org
    OR OLD.upper_bound_nano <> NEW.upper_bound_nano OR OLD.day <> NEW.day OR OLD.catalog_version <> NEW.catalog_version
)
EXECUTE FUNCTION ledger_refuse('ledger_attempt is resolved once: held -> settled | voided | in_doubt -> reconciled');
