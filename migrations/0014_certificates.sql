-- The secret from which the salts of a run are made. `imbulk forget` removes it: then no leaf can be guessed any more.
CREATE TABLE certificate_secret (
    run           INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    secret        BLOB    NOT NULL,              -- 32 random bytes
    checksum      INTEGER NOT NULL
) STRICT;

-- The certificates of runs. They have no personal data and remain when the run is forgotten, so that the chain of a job
-- and a target goes on.
CREATE TABLE certificate (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,              -- its position in the chain, from 1
    head          TEXT    NOT NULL,              -- the SHA-256 of the statement, in hexadecimal digits
    root          TEXT    NOT NULL,              -- the root of the tree, in hexadecimal digits
    checksum      INTEGER NOT NULL
) STRICT;
CREATE INDEX certificate_by_run ON certificate (run, id);
