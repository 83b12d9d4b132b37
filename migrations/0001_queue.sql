-- The queue of imbulk. Times are milliseconds since 1970 in UTC. The view `item` has one row per item and skipped row.
-- Every `checksum` covers all other columns of its table row, unless a comment says otherwise (docs/decisions/0008).
-- CHECKs of large tables avoid `IN` with three or more values, for which SQLite builds an index with each row.

-- The path under which the file is used, without links. Another name may lead to it, but its log is beside this one.
CREATE TABLE queue_file (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    path          BLOB    NOT NULL
) STRICT;

CREATE TABLE run (
    id            INTEGER PRIMARY KEY,
    uuid          TEXT    NOT NULL UNIQUE,
    job           TEXT    NOT NULL,
    target        TEXT    NOT NULL,              -- 'sandbox' or the SDKAppID
    operation     TEXT    NOT NULL,
    options       TEXT    NOT NULL,              -- JSON object: the options of the operation and their values
    definition_digest TEXT NOT NULL,             -- digest of what decides the meaning of the input
    input_digest  TEXT    NOT NULL,              -- digest of the input's bytes
    file_stamps   TEXT    NOT NULL,              -- names, sizes and times of the input's files
    protected_digest TEXT NOT NULL,              -- digest of the protected list that pending rows were compared with
    files         TEXT    NOT NULL DEFAULT '[]', -- JSON list of the files that it was loaded from
    tags          TEXT    NOT NULL,              -- JSON list of the tags that rows set
    largest_accounts TEXT NOT NULL DEFAULT '[]', -- JSON list of the accounts with the most items
    state         TEXT    NOT NULL CHECK (state IN ('loading', 'planned', 'running', 'finished', 'superseded')),
    end_reason    TEXT,                          -- why the last session ended before the run did
    end_hint      TEXT,                          -- what to do about that reason
    settings_digest TEXT,                        -- digest of the job settings of the last session that decide its calls
    ended_by      TEXT,                          -- the kind of that reason; NULL during a session and after a kill
    heartbeat     TEXT,                          -- JSON: the progress, stored every few seconds; not in the checksum
    row_count     INTEGER NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    item_count    INTEGER NOT NULL DEFAULT 0 CHECK (item_count >= 0),
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    checksum      INTEGER NOT NULL DEFAULT 0     -- 0 while the run is loading
) STRICT;
CREATE INDEX run_by_job ON run (job, id);

-- The last plan that `imbulk plan` showed for a job and a target. Deleted when such a run begins.
CREATE TABLE shown_plan (
    job           TEXT    NOT NULL,
    target        TEXT    NOT NULL,
    parts         TEXT    NOT NULL,              -- JSON: everything that the plan id covers
    shown_at      INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (job, target)
) STRICT, WITHOUT ROWID;

-- The files of a run's input.
CREATE TABLE source (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    row_count     INTEGER NOT NULL CHECK (row_count >= 0),
    blank_rows    INTEGER NOT NULL CHECK (blank_rows >= 0),  -- only delimiters and blanks; not sent
    notes         TEXT    NOT NULL,              -- JSON list of sentences: what users should know of accepted rows
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- Rows are numbered from 0 in input order. Consecutive rows at a fixed distance of lines share one row of this table.
CREATE TABLE line_span (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    first_row     INTEGER NOT NULL,
    source        INTEGER NOT NULL,
    first_line    INTEGER NOT NULL,
    step          INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, first_row)
) STRICT, WITHOUT ROWID;

-- The columns that change while a run is sent. The others are in table `payload`, so that these rows are short.
CREATE TABLE request (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    state         TEXT    NOT NULL DEFAULT 'pending'
                  CHECK (state = 'pending' OR state = 'sending' OR state = 'settled'),
    item_count    INTEGER NOT NULL CHECK (item_count > 0),
    row_count     INTEGER NOT NULL CHECK (row_count >= item_count),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    charged       INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0 AND charged <= attempts),
    in_doubt      INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt BETWEEN 0 AND 2), -- 1: server timed out, 2: no response
    parent        INTEGER,                       -- the request that the items were split off from
    finished_at   INTEGER CHECK ((finished_at IS NOT NULL) = (state = 'settled')),
    checksum      INTEGER NOT NULL,              -- a sum that SQL calculates, since SQL changes many rows
    checksum_ok   INTEGER GENERATED ALWAYS AS (
        checksum IS (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
            + attempts * 29989 + charged * 37501 + in_doubt * 45007
            + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
            + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521
    ) VIRTUAL
) STRICT;
-- A change must not give a damaged row a valid checksum.
CREATE TRIGGER request_is_undamaged
BEFORE UPDATE OF run, state, item_count, row_count, attempts, charged, in_doubt, parent, finished_at ON request
WHEN OLD.checksum_ok IS NOT 1
BEGIN SELECT raise(ABORT, 'a request is damaged'); END;
CREATE TRIGGER request_checksum
AFTER UPDATE OF run, state, item_count, row_count, attempts, charged, in_doubt, parent, finished_at ON request
BEGIN
    UPDATE request SET checksum =
        (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
            + attempts * 29989 + charged * 37501 + in_doubt * 45007
            + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
            + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521
    WHERE id = NEW.id;
END;
CREATE INDEX request_pending ON request (run) WHERE state = 'pending';  -- and by id, as every index
CREATE INDEX request_sending ON request (id) WHERE state = 'sending';

CREATE TABLE payload (
    request       INTEGER PRIMARY KEY REFERENCES request (id) ON DELETE CASCADE,
    from_account  TEXT,
    accounts      TEXT    NOT NULL,              -- one per line
    rows          TEXT    NOT NULL,              -- JSON, parallel, distances: [7,[2,3],1] is rows 7, 9 with 12, 10
    tags          TEXT,                          -- JSON, parallel: [[{"Tag_…":"x"}],[{…},{…}]]
    history       TEXT,                          -- JSON: the codes of earlier responses, the latest first; NULL: none
    checksum      INTEGER NOT NULL               -- also covers run, item_count and row_count of the request
) STRICT;

-- Rows of settled requests whose outcome is not success without a code.
CREATE TABLE outcome (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    row           INTEGER NOT NULL,
    outcome       TEXT    NOT NULL CHECK (
        outcome = 'succeeded' OR outcome = 'already_done' OR outcome = 'failed' OR outcome = 'in_doubt'),
    code          INTEGER,
    reason        TEXT    NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- Skipped rows.
CREATE TABLE skipped (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    row           INTEGER NOT NULL,
    outcome       TEXT    NOT NULL CHECK (outcome = 'rejected' OR outcome = 'duplicate' OR outcome = 'protected'),
    duplicate_of  INTEGER CHECK ((duplicate_of IS NOT NULL) = (outcome = 'duplicate')),
    column_name   TEXT,
    reason        TEXT,
    from_account  TEXT,
    account       TEXT,
    tags          TEXT,                          -- JSON object
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- Rows by outcome. Each transaction that changes an outcome updates them, and the end of a session compares them with
-- the other tables. They need no checksum, because their sum must be the run's row_count.
CREATE TABLE tally (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    outcome       TEXT    NOT NULL,
    rows          INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (run, outcome)
) STRICT, WITHOUT ROWID;

-- One row per item, with the number of its first input row, and one per skipped row.
CREATE VIEW item AS
SELECT run.job,
       run.uuid AS run,
       run.target,
       source.name AS source,
       line_span.first_line + (listed.value ->> 1 - line_span.first_row) * line_span.step AS line,
       request.id AS request,
       payload.from_account,
       listed.value ->> 0 AS account,
       json_extract(payload.tags, '$[' || listed.key || ']') AS tags,
       listed.value ->> 1 AS row,
       CASE request.state WHEN 'settled' THEN coalesce(outcome.outcome, 'succeeded') ELSE 'pending' END AS outcome,
       outcome.code,
       outcome.reason,
       request.attempts,
       request.finished_at
FROM run
JOIN request ON request.run = run.id
JOIN payload ON payload.request = request.id
JOIN json_each((
    -- Each account with its first row. LIMIT makes SQLite compose the list of accounts once, and not for each of them.
    SELECT json_group_array(json_array(list.accounts ->> first.key, first.row))
    FROM (SELECT key, sum(CASE type WHEN 'array' THEN value ->> 0 ELSE value END) OVER (ORDER BY key) AS row
          FROM json_each(payload.rows)) AS first
    CROSS JOIN (
        SELECT '["' || replace(replace(replace(payload.accounts, '\', '\\'), '"', '\"'), char(10), '","') || '"]'
            AS accounts
        LIMIT 1) AS list
)) AS listed
LEFT JOIN outcome ON outcome.run = run.id AND outcome.row = listed.value ->> 1
LEFT JOIN line_span ON line_span.run = run.id AND line_span.first_row = (
    SELECT max(first_row) FROM line_span AS earlier
    WHERE earlier.run = run.id AND earlier.first_row <= listed.value ->> 1)
LEFT JOIN source ON source.run = run.id AND source.number = line_span.source
WHERE run.state <> 'loading'
UNION ALL
SELECT run.job,
       run.uuid,
       run.target,
       source.name,
       line_span.first_line + (skipped.row - line_span.first_row) * line_span.step,
       NULL,
       skipped.from_account,
       skipped.account,
       '[' || skipped.tags || ']',
       skipped.row,
       skipped.outcome,
       NULL,
       coalesce(skipped.reason, (
           SELECT 'duplicate of ' || name || ':' || (first_line + (skipped.duplicate_of - first_row) * step)
           FROM line_span AS original JOIN source AS of ON of.run = original.run AND of.number = original.source
           WHERE original.run = run.id AND original.first_row <= skipped.duplicate_of
           ORDER BY original.first_row DESC LIMIT 1)),
       0,
       NULL
FROM run
JOIN skipped ON skipped.run = run.id
LEFT JOIN line_span ON line_span.run = run.id AND line_span.first_row = (
    SELECT max(first_row) FROM line_span AS earlier WHERE earlier.run = run.id AND earlier.first_row <= skipped.row)
LEFT JOIN source ON source.run = run.id AND source.number = line_span.source
WHERE run.state <> 'loading';
