-- When the end of the last session (ended_by) was stored, or when the run was superseded; after a kill, the time of the
-- last heartbeat. Only `imbulk status` shows it; not in the checksum.
ALTER TABLE run ADD COLUMN ended_at INTEGER;
