-- Adds what the layouts before 2026-11-29 did not store, as far as it can be derived.
ALTER TABLE old_run ADD COLUMN files TEXT NOT NULL DEFAULT '[]';
ALTER TABLE old_run ADD COLUMN settings TEXT;
ALTER TABLE old_run ADD COLUMN ended_by TEXT;
ALTER TABLE old_source ADD COLUMN row_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_source ADD COLUMN blank_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_source ADD COLUMN notes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE old_payload ADD COLUMN history TEXT;
-- A line span ends where the next one of its run begins, and the last one with the last row.
UPDATE old_source SET row_count = (
    SELECT coalesce(sum(end_row - first_row), 0) FROM (
        SELECT span.source, span.first_row,
               lead(span.first_row, 1, old_run.row_count) OVER (ORDER BY span.first_row) AS end_row
        FROM old_line_span AS span JOIN old_run ON old_run.id = span.run
        WHERE span.run = old_source.run)
    WHERE source = old_source.number);
-- The kind of an end was in its text only. Where the text leaves it open, a person has to decide.
UPDATE old_run SET ended_by = CASE
        WHEN stopped LIKE '%the fuse: %' THEN 'guard'
        WHEN stopped LIKE '%`stop.until`%' THEN 'deadline'
        WHEN stopped LIKE '%is almost full%' THEN 'disk_full'
        WHEN stopped LIKE '%`stop.outage`%' THEN 'outage'
        WHEN stopped LIKE '%imbulk explain%' THEN 'fatal_code'
        ELSE 'person' END
WHERE state = 'running' AND stopped IS NOT NULL;
