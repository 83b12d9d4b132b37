-- How the last session of a run called the API: endpoint, admin and limits, as JSON. `imbulk verify` needs no job file
-- therefore. The checksum covers it once it is set.
ALTER TABLE run ADD COLUMN call_settings TEXT;

-- A verification is a run that only reads: its requests hold items of another run. It is removed when all of them are
-- looked up. No command lists it as a run.
CREATE TABLE verification (
    run           INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    of_run        INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    selection     TEXT    NOT NULL,              -- JSON: which rows it looks up
    checksum      INTEGER NOT NULL
) STRICT;

-- What the last lookup of a row by `imbulk verify` showed.
CREATE TABLE verified (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    row           INTEGER NOT NULL,
    verified      TEXT    NOT NULL CHECK (verified = 'confirmed' OR verified = 'contradicted' OR verified = 'unknown'),
    reason        TEXT    NOT NULL,
    verified_at   INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- The rows of table `verified` by result. Each transaction that changes that table updates them.
CREATE TABLE verified_tally (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    verified      TEXT    NOT NULL,
    rows          INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (run, verified)
) STRICT, WITHOUT ROWID;

-- One row per item, with the number of its first input row, and one per skipped row; not of verifications.
DROP VIEW item;
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
       request.finished_at,
       verified.verified,
       verified.verified_at
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
LEFT JOIN verified ON verified.run = run.id AND verified.row = listed.value ->> 1
LEFT JOIN line_span ON line_span.run = run.id AND line_span.first_row = (
    SELECT max(first_row) FROM line_span AS earlier
    WHERE earlier.run = run.id AND earlier.first_row <= listed.value ->> 1)
LEFT JOIN source ON source.run = run.id AND source.number = line_span.source
WHERE run.state <> 'loading' AND run.id NOT IN (SELECT run FROM verification)
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
       NULL,
       NULL,
       NULL
FROM run
JOIN skipped ON skipped.run = run.id
LEFT JOIN line_span ON line_span.run = run.id AND line_span.first_row = (
    SELECT max(first_row) FROM line_span AS earlier WHERE earlier.run = run.id AND earlier.first_row <= skipped.row)
LEFT JOIN source ON source.run = run.id AND source.number = line_span.source
WHERE run.state <> 'loading' AND run.id NOT IN (SELECT run FROM verification);
