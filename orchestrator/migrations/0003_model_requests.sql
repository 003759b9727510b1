-- The requests to a model that `usage` is the sum of (JSON), written together with it.
ALTER TABLE turns ADD COLUMN requests TEXT;
