-- What the next call of a request is for, as JSON: a lookup, or the deletion of the friend's own side, with what is
-- known of the items. NULL: the change that the rows ask for. The checksum covers it only if it is not NULL.
ALTER TABLE payload ADD COLUMN purpose TEXT;
