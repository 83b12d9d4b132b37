-- The queue of imbulk. Times are milliseconds since 1970 in UTC. The view `item` shows one line per item and per skipped row.
-- Of a list of three or more, `IN (…)`, SQLite makes an index for each line that it checks; tables of many lines do without.
-- `checksum` is the checksum of all other columns of its line, but those that say otherwise (docs/decisions/0008).

-- The name under which the file is used, without links. It may have others, but its log is beside this one.
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
    definition    TEXT    NOT NULL,              -- digest of what the job makes of its input
    digest        TEXT    NOT NULL,              -- digest of the input's bytes
    stamp         TEXT    NOT NULL,              -- names, sizes and times of the input's files
    protected     TEXT    NOT NULL,              -- digest of the protected list that its pending rows were held against
    files         TEXT    NOT NULL DEFAULT '[]', -- JSON list of the files that it was loaded from
    tags          TEXT    NOT NULL,              -- JSON list of the tags that rows set
    largest       TEXT    NOT NULL DEFAULT '[]', -- JSON list of the accounts with the most items
    state         TEXT    NOT NULL CHECK (state IN ('loading', 'planned', 'running', 'finished', 'superseded')),
    stopped       TEXT,                          -- why the last session ended before the run did
    settings      TEXT,                          -- digest of limits, retries, guards, stops, endpoint and admin of the last session
    ended_by      TEXT,                          -- the kind of that reason; NULL while a session is sending, and after it was killed
    pulse         TEXT,                          -- JSON: how it goes, noted every few seconds; no part of the checksum
    row_count     INTEGER NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    item_count    INTEGER NOT NULL DEFAULT 0 CHECK (item_count >= 0),
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    checksum      INTEGER NOT NULL DEFAULT 0     -- none while it is loading
) STRICT;
CREATE INDEX run_by_job ON run (job, id);

-- What `imbulk plan` showed last of a job on a target. Removed when a run of the job begins there.
CREATE TABLE shown_plan (
    job           TEXT    NOT NULL,
    target        TEXT    NOT NULL,
    parts         TEXT    NOT NULL,              -- JSON: all that the plan id is a digest of
    shown_at      INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (job, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE source (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    row_count     INTEGER NOT NULL CHECK (row_count >= 0),
    blank_rows    INTEGER NOT NULL CHECK (blank_rows >= 0),  -- skipped: nothing but delimiters and blanks
    notes         TEXT    NOT NULL,              -- JSON list of sentences: accepted, and to be known before it is sent
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- Rows are numbered from 0 in input order; a stretch of rows at a fixed distance of lines is one line here.
CREATE TABLE line_span (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    first_row     INTEGER NOT NULL,
    source        INTEGER NOT NULL,
    first_line    INTEGER NOT NULL,
    step          INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, first_row)
) STRICT, WITHOUT ROWID;

-- What changes while a run goes on is narrow and stands apart from what does not.
CREATE TABLE request (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    state         TEXT    NOT NULL DEFAULT 'pending' CHECK (state = 'pending' OR state = 'sending' OR state = 'settled'),
    item_count    INTEGER NOT NULL CHECK (item_count > 0),
    row_count     INTEGER NOT NULL CHECK (row_count >= item_count),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    charged       INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0 AND charged <= attempts),
    in_doubt      INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt BETWEEN 0 AND 2), -- 1: the server timed out, 2: no answer
    parent        INTEGER,                       -- the request that these items were in before
    finished_at   INTEGER CHECK ((finished_at IS NOT NULL) = (state = 'settled')),
    checksum      INTEGER NOT NULL,              -- a checksum that SQL can reckon, since SQL changes these lines
    checksum_ok   INTEGER GENERATED ALWAYS AS (
        checksum IS (id % 65521 * 3 + run % 65521 * 7877 + item_count * 15013 + row_count * 22501
            + attempts * 29989 + charged * 37501 + in_doubt * 45007
            + coalesce(parent, 23) % 65521 * 52501 + coalesce(finished_at, 29) % 65521 * 59999
            + CASE state WHEN 'pending' THEN 0 WHEN 'sending' THEN 61001 WHEN 'settled' THEN 47 END) % 65521
    ) VIRTUAL
) STRICT;
-- What was damaged is not made valid by changing it.
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
CREATE INDEX request_pending ON request (run) WHERE state = 'pending';  -- and, as any index, by id
CREATE INDEX request_sending ON request (id) WHERE state = 'sending';

CREATE TABLE payload (
    request       INTEGER PRIMARY KEY REFERENCES request (id) ON DELETE CASCADE,
    from_account  TEXT,
    accounts      TEXT    NOT NULL,              -- one a line
    rows          TEXT    NOT NULL,              -- JSON, a list in parallel, as distances: [7,[2,3],1] is rows 7, 9 with 12, 10
    tags          TEXT,                          -- JSON, parallel: [[{"Tag_…":"x"}],[{…},{…}]]
    history       TEXT,                          -- JSON, the codes of earlier answers, the latest first; NULL: none
    checksum      INTEGER NOT NULL               -- of these, and of the request's run, item_count and row_count
) STRICT;

-- Rows of settled requests that did not simply succeed.
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

-- Rows that are not sent.
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

-- Rows by outcome: changed in the transaction that changes the outcome, checked against the tables above at the end.
-- Their sum is the run's row_count, which is their checksum.
CREATE TABLE tally (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    outcome       TEXT    NOT NULL,
    rows          INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (run, outcome)
) STRICT, WITHOUT ROWID;

-- One line per item, with its first row; and one per skipped row.
CREATE VIEW item AS
SELECT run.job,
       run.uuid AS run,
       run.target,
       source.name AS source,
       line_span.first_line + (entry.value ->> 1 - line_span.first_row) * line_span.step AS line,
       request.id AS request,
       payload.from_account,
       entry.value ->> 0 AS account,
       json_extract(payload.tags, '$[' || entry.key || ']') AS tags,
       entry.value ->> 1 AS row,
       CASE request.state WHEN 'settled' THEN coalesce(outcome.outcome, 'succeeded') ELSE 'pending' END AS outcome,
       outcome.code,
       outcome.reason,
       request.attempts,
       request.finished_at
FROM run
JOIN request ON request.run = run.id
JOIN payload ON payload.request = request.id
JOIN json_each((
    -- Each account with its first row. The list is one text for all of them (LIMIT sees to that), so it is read once.
    SELECT json_group_array(json_array(list.accounts ->> first.key, first.row))
    FROM (SELECT key, sum(CASE type WHEN 'array' THEN value ->> 0 ELSE value END) OVER (ORDER BY key) AS row
          FROM json_each(payload.rows)) AS first
    CROSS JOIN (
        SELECT '["' || replace(replace(replace(payload.accounts, '\', '\\'), '"', '\"'), char(10), '","') || '"]' AS accounts
        LIMIT 1) AS list
)) AS entry
LEFT JOIN outcome ON outcome.run = run.id AND outcome.row = entry.value ->> 1
LEFT JOIN line_span ON line_span.run = run.id AND line_span.first_row = (
    SELECT max(first_row) FROM line_span AS earlier WHERE earlier.run = run.id AND earlier.first_row <= entry.value ->> 1)
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
