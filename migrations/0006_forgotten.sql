-- When `imbulk forget` removed the rows of the run, and the BLAKE3 digest of the results (CSV) that it had then. The
-- checksum covers both columns once they are set.
ALTER TABLE run ADD COLUMN forgotten_at INTEGER;
ALTER TABLE run ADD COLUMN results_digest TEXT;
