-- What the ledger refuses on PostgreSQL. No arguments; statements are separated by lines of two dashes and "next".
-- Savings: only INSERT.
CREATE TRIGGER ledger_saving_append_only BEFORE UPDATE OR DELETE ON ledger_saving
FOR EACH ROW EXECUTE FUNCTION ledger_refuse('ledger_saving is append-only');
-- next
CREATE TRIGGER ledger_saving_no_truncate BEFORE TRUNCATE ON ledger_saving
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('ledger_saving is append-only');
