-- What the ledger refuses on SQLite. No arguments; statements are separated by lines of two dashes and "next".
-- Savings: only INSERT.
CREATE TRIGGER ledger_saving_no_update BEFORE UPDATE ON ledger_saving
BEGIN
    SELECT RAISE(ABORT, 'ledger_saving is append-only');
END;
-- next
CREATE TRIGGER ledger_saving_no_delete BEFORE DELETE ON ledger_saving
BEGIN
    SELECT RAISE(ABORT, 'ledger_saving is append-only');
END;
