-- Copies the rows of an earlier layout into the current tables. The checksums of table `run`, and of `source` and
-- `payload` before 2026-11-29, are calculated afterwards. The others cover the same columns as before. The oldest ones
-- were stored without a sign.
INSERT INTO run (id, uuid, job, target, operation, options, definition_digest, input_digest, file_stamps,
                 protected_digest, files, fields, largest_accounts, state, end_reason, settings_digest, ended_by,
                 row_count, item_count, created_at, started_at, finished_at)
SELECT id, uuid, job, target, operation,
       CASE WHEN operation IN ('friend_delete', 'friend_delete_all')
            THEN json_object('delete_type', delete_type) ELSE '{}' END,
       definition, digest, stamp, protected, files, tags, largest, state, stopped, settings, ended_by,
       row_count, item_count, created_at, started_at, finished_at
FROM old_run;
INSERT INTO source (run, number, name, row_count, blank_rows, notes, checksum)
SELECT run, number, name, row_count, blank_rows, notes, crc FROM old_source;
INSERT INTO line_span (run, first_row, source, first_line, step, checksum)
SELECT run, first_row, source, first_line, step, (crc + 2147483648) % 4294967296 - 2147483648 FROM old_line_span;
INSERT INTO request (id, run, state, item_count, row_count, attempts, charged, in_doubt, parent, finished_at, checksum)
SELECT id, run, state, item_count, row_count, attempts, charged, in_doubt, parent, finished_at, seal FROM old_request;
INSERT INTO payload (request, from_account, accounts, rows, fields, history, checksum)
SELECT request, from_account, accounts, rows, tags, history, crc FROM old_payload;
INSERT INTO outcome (run, row, outcome, code, reason, checksum)
SELECT run, row, outcome, code, reason, (crc + 2147483648) % 4294967296 - 2147483648 FROM old_outcome;
INSERT INTO skipped (run, row, outcome, duplicate_of, column_name, reason, from_account, account, fields, checksum)
SELECT run, row, outcome, duplicate_of, column_name, reason, from_account, account, tags,
       (crc + 2147483648) % 4294967296 - 2147483648
FROM old_skipped;
INSERT INTO tally (run, outcome, rows) SELECT run, outcome, rows FROM old_tally;
