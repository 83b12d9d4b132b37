-- What rows set are fields. A tag is only a field whose name in the API begins with `Tag_`.
DROP VIEW item;
ALTER TABLE run RENAME COLUMN tags TO fields;
ALTER TABLE payload RENAME COLUMN tags TO fields;
ALTER TABLE skipped RENAME COLUMN tags TO fields;

-- One row per item, with the number of its first input row, and one per skipped row; not of verifications.
CREATE VIEW item AS
SELECT run.job,
       run.uuid AS run,
       run.target,
       source.name AS source,
       line_span.first_line + (listed.value ->> 1 - line_span.first_row) * line_span.step AS line,
       request.id AS request,
       payload.from_account,
       listed.value ->> 0 AS account,
       json_extract(payload.fields, '$[' || listed.key || ']') AS fields,
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
       '[' || skipped.fields || ']',
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
