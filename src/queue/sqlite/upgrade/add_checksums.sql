-- Adds what the layout of 2026-11-22 did not store. Its rows have no checksums to compare.
ALTER TABLE old_run ADD COLUMN largest TEXT NOT NULL DEFAULT '[]';
ALTER TABLE old_run ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_source ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_line_span ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_payload ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_outcome ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_skipped ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_request ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
UPDATE old_request SET seal =
    (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
        + attempts * 29989 + charged * 37501 + in_doubt * 45007
        + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
        + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521;
