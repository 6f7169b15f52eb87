-- What the ledger refuses on PostgreSQL, from revision 0005 on. No arguments; statements are separated by lines of two
-- dashes and "next". New: details of an attempt may be taken out once their month is archived; what it cost may not.
CREATE FUNCTION ledger_attempt_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.state NOT IN ('held', 'in_doubt')
        AND NOT (
        OLD.id IS DISTINCT FROM NEW.id OR OLD.job_id IS DISTINCT FROM NEW.job_id OR OLD.n IS DISTINCT FROM NEW.n
        OR OLD.org IS DISTINCT FROM NEW.org OR OLD.model IS DISTINCT FROM NEW.model
        OR OLD.tenant IS DISTINCT FROM NEW.tenant OR OLD.priority IS DISTINCT FROM NEW.priority
        OR OLD.tags IS DISTINCT FROM NEW.tags OR OLD.delivery IS DISTINCT FROM NEW.delivery
        OR OLD.operation IS DISTINCT FROM NEW.operation
        OR OLD.images_requested IS DISTINCT FROM NEW.images_requested
        OR OLD.upper_bound_nano IS DISTINCT FROM NEW.upper_bound_nano OR OLD.credits IS DISTINCT FROM NEW.credits
        OR OLD.catalog_version IS DISTINCT FROM NEW.catalog_version OR OLD.state IS DISTINCT FROM NEW.state
        OR OLD.usd_nano IS DISTINCT FROM NEW.usd_nano OR OLD.images IS DISTINCT FROM NEW.images
        OR OLD.day IS DISTINCT FROM NEW.day OR OLD.held_at_us IS DISTINCT FROM NEW.held_at_us
        )
        AND EXISTS (SELECT 1 FROM ledger_archive WHERE month = substr(OLD.day, 1, 7))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'ledger_attempt is resolved once: held -> settled | voided | in_doubt -> reconciled';
END
$body$;
-- next
DROP TRIGGER ledger_attempt_path ON ledger_attempt;
-- next
CREATE TRIGGER ledger_attempt_path BEFORE UPDATE ON ledger_attempt
FOR EACH ROW WHEN (
    NOT (
        (OLD.state = 'held' AND NEW.state IN ('settled', 'voided', 'in_doubt'))
        OR (OLD.state = 'in_doubt' AND NEW.state = 'reconciled')
    ) OR OLD.id <> NEW.id OR OLD.job_id <> NEW.job_id OR OLD.n <> NEW.n OR OLD.org <> NEW.org
    OR OLD.upper_bound_nano <> NEW.upper_bound_nano OR OLD.day <> NEW.day OR OLD.catalog_version <> NEW.catalog_version
)
EXECUTE FUNCTION ledger_attempt_refuse();
-- next
CREATE TRIGGER ledger_archive_append_only BEFORE UPDATE OR DELETE ON ledger_archive
FOR EACH ROW EXECUTE FUNCTION ledger_refuse('ledger_archive is append-only');
-- next
CREATE TRIGGER ledger_archive_no_truncate BEFORE TRUNCATE ON ledger_archive
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('ledger_archive is append-only');
