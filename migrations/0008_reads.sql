-- Whether the last intent of a request is for a call that only reads. If the process is killed during such a call, it
-- leaves no doubt. The sum covers the column, and is the same as before for requests that never had such a call.
ALTER TABLE request ADD COLUMN reads INTEGER NOT NULL DEFAULT 0 CHECK (reads = 0 OR reads = 1);
DROP TRIGGER request_is_undamaged;
DROP TRIGGER request_checksum;
ALTER TABLE request DROP COLUMN checksum_ok;
ALTER TABLE request ADD COLUMN checksum_ok INTEGER GENERATED ALWAYS AS (
    checksum IS (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
        + attempts * 29989 + charged * 37501 + in_doubt * 45007 + reads * 56003
        + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
        + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521
) VIRTUAL;
CREATE TRIGGER request_is_undamaged
BEFORE UPDATE OF run, state, item_count, row_count, attempts, charged, in_doubt, reads, parent, finished_at ON request
WHEN OLD.checksum_ok IS NOT 1
BEGIN SELECT raise(ABORT, 'a request is damaged'); END;
CREATE TRIGGER request_checksum
AFTER UPDATE OF run, state, item_count, row_count, attempts, charged, in_doubt, reads, parent, finished_at ON request
BEGIN
    UPDATE request SET checksum =
        (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
            + attempts * 29989 + charged * 37501 + in_doubt * 45007 + reads * 56003
            + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
            + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521
    WHERE id = NEW.id;
END;
