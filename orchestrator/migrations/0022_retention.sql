-- Number of the last event that was cut off the beginning of the log; 0: it is whole. What comes
-- after it is there without a gap. Rows up to it that still stand are removed a few at a time.
ALTER TABLE sessions ADD COLUMN cut_seq BIGINT NOT NULL DEFAULT 0 CHECK (cut_seq >= 0);
