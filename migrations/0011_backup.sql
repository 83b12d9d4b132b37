-- The parts of backup files that are on disk. A part is stored in the transaction after which its change may be sent.
CREATE TABLE backup (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file          TEXT    NOT NULL,              -- its path
    first_byte    INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    lines         INTEGER NOT NULL,
    blake3        TEXT    NOT NULL,              -- the hash of these bytes
    checksum      INTEGER NOT NULL
) STRICT;
CREATE INDEX backup_by_run ON backup (run, id);
