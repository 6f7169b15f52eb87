-- What the ledger refuses on SQLite, from revision 0005 on. No arguments; statements are separated by lines of two
-- dashes and "next". New: details of an attempt may be taken out once their month is archived; what it cost may not.
DROP TRIGGER ledger_attempt_path;
-- next
CREATE TRIGGER ledger_attempt_path BEFORE UPDATE ON ledger_attempt
WHEN (
    NOT (
        (OLD.state = 'held' AND NEW.state IN ('settled', 'voided', 'in_doubt'))
        OR (OLD.state = 'in_doubt' AND NEW.state = 'reconciled')
    ) OR OLD.id <> NEW.id OR OLD.job_id <> NEW.job_id OR OLD.n <> NEW.n OR OLD.org <> NEW.org
    OR OLD.upper_bound_nano <> NEW.upper_bound_nano OR OLD.day <> NEW.day OR OLD.catalog_version <> NEW.catalog_version
) AND (
    OLD.state IN ('held', 'in_doubt')
    OR NOT EXISTS (SELECT 1 FROM ledger_archive WHERE month = substr(OLD.day, 1, 7))
    OR (
        OLD.id IS NOT NEW.id OR OLD.job_id IS NOT NEW.job_id OR OLD.n IS NOT NEW.n OR OLD.org IS NOT NEW.org
        OR OLD.model IS NOT NEW.model OR OLD.tenant IS NOT NEW.tenant OR OLD.priority IS NOT NEW.priority
        OR OLD.tags IS NOT NEW.tags OR OLD.delivery IS NOT NEW.delivery OR OLD.operation IS NOT NEW.operation
        OR OLD.images_requested IS NOT NEW.images_requested OR OLD.upper_bound_nano IS NOT NEW.upper_bound_nano
        OR OLD.credits IS NOT NEW.credits OR OLD.catalog_version IS NOT NEW.catalog_version
        OR OLD.state IS NOT NEW.state OR OLD.usd_nano IS NOT NEW.usd_nano OR OLD.images IS NOT NEW.images
        OR OLD.day IS NOT NEW.day OR OLD.held_at_us IS NOT NEW.held_at_us
    )
)
BEGIN
    SELECT RAISE(ABORT, 'ledger_attempt is resolved once: held -> settled | voided | in_doubt -> reconciled');
END;
-- next
CREATE TRIGGER ledger_archive_no_update BEFORE UPDATE ON ledger_archive
BEGIN
    SELECT RAISE(ABORT, 'ledger_archive is append-only');
END;
-- next
CREATE TRIGGER ledger_archive_no_delete BEFORE DELETE ON ledger_archive
BEGIN
    SELECT RAISE(ABORT, 'ledger_archive is append-only');
END;
