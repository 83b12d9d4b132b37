-- Gives the tables of an earlier layout other names, which make place for the current tables. Every layout has these.
DROP VIEW item;
DROP TRIGGER IF EXISTS request_is_sound;
DROP TRIGGER IF EXISTS request_seal;
DROP INDEX run_by_job;
DROP INDEX request_pending;
DROP INDEX request_sending;
DROP TABLE _sqlx_migrations;
-- The path of the file is stored again with each opening, and a plan is shown again with each `imbulk plan`.
DROP TABLE IF EXISTS place;
DROP TABLE IF EXISTS shown_plan;
ALTER TABLE run RENAME TO old_run;
ALTER TABLE source RENAME TO old_source;
ALTER TABLE segment RENAME TO old_line_span;
ALTER TABLE request RENAME TO old_request;
ALTER TABLE payload RENAME TO old_payload;
ALTER TABLE outcome RENAME TO old_outcome;
ALTER TABLE aside RENAME TO old_skipped;
ALTER TABLE tally RENAME TO old_tally;
