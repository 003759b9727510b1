-- What the person said, so that a session's history can be read back. Nobody knows it of older turns.
ALTER TABLE turns ADD COLUMN prompt TEXT;
-- Within its sandbox a turn is found by its id alone.
CREATE INDEX turns_by_id ON turns (id);
