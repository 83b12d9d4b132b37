-- What a run has taken over from the last run of its job, as JSON (`retry.carry_over`). NULL: nothing was looked for.
-- The checksum covers it only if it is not NULL.
ALTER TABLE run ADD COLUMN carried TEXT;
-- The id of the run that read the file, if the rows of the file were carried over. NULL: the file is of this run's
-- input. The checksum covers it only if it is not NULL.
ALTER TABLE source ADD COLUMN carried_from TEXT;
-- Rows that were carried over from an earlier run, with the number of runs that they were carried into so far. A run
-- numbers them before the rows of its input. Once the run has begun, the rows are retried only there.
CREATE TABLE carried (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    row           INTEGER NOT NULL,
    source_run    INTEGER NOT NULL,
    source_row    INTEGER NOT NULL,
    nights        INTEGER NOT NULL CHECK (nights > 0),
    checksum      INTEGER NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX carried_by_source ON carried (source_run, source_row);
