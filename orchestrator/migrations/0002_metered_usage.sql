-- What the model gateway metered (JSON): more figures than the two columns hold. Written after every
-- request while the turn runs, so that a crash loses no more than the request under way.
ALTER TABLE turns ADD COLUMN usage TEXT;
