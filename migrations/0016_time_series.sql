-- How a run went over time, for the report. It has no personal data, and `imbulk forget` removes it with the rows.
CREATE TABLE time_series (
    run           INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    series        TEXT    NOT NULL,              -- JSON of at most 200 kB: buckets and sessions
    checksum      INTEGER NOT NULL
) STRICT;
