-- The approval with which a run has begun (`guard.approval`). It is inserted in the transaction that begins the run.
-- It has no personal data and remains when the run is forgotten, so that it is never used again.
CREATE TABLE approval (
    run           INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    request       TEXT    NOT NULL,              -- the BLAKE3 digest of the file that was signed
    requester     TEXT    NOT NULL,              -- the fingerprint of the key of the person who asked
    approver      TEXT    NOT NULL,              -- the fingerprint of the key of the person who approved
    checksum      INTEGER NOT NULL
) STRICT;
