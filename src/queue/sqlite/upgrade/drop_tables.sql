-- Removes the tables of the earlier layout, those first that refer to others.
DROP TABLE old_payload;
DROP TABLE old_request;
DROP TABLE old_outcome;
DROP TABLE old_skipped;
DROP TABLE old_tally;
DROP TABLE old_line_span;
DROP TABLE old_source;
DROP TABLE old_run;
