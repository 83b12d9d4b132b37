-- The instructions of `imbulk ctl`, in the sequence in which they were applied or refused.
CREATE TABLE control (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    instruction   TEXT    NOT NULL UNIQUE,       -- its random id
    command       TEXT    NOT NULL,              -- as on the command line: `pause`, `rate 50`
    who           TEXT    NOT NULL,              -- user, host and process
    effect        TEXT    NOT NULL,              -- JSON: what it led to
    applied_at    INTEGER NOT NULL,
    checksum      INTEGER NOT NULL
) STRICT;
CREATE INDEX control_by_run ON control (run, id);
