-- The sessions of a run: who began each, with which guards and limits, and the calls that it made.

CREATE TABLE session (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    began_at      INTEGER NOT NULL,              -- milliseconds since 1970
    start         TEXT    NOT NULL,              -- JSON: who began it, its plan, limits and guards
    calls         TEXT,                          -- JSON: its calls; NULL while it sends, and after a kill
    checksum      INTEGER NOT NULL
) STRICT;
CREATE INDEX session_by_run ON session (run, id);
