-- What a turn is run with, as it was when the turn began.

-- The agent; `model` is the name that was chosen.
ALTER TABLE turns ADD COLUMN agent TEXT NOT NULL DEFAULT 'demo';
-- Who serves the model, and the provider's own name of it; NULL where the agent needs none.
ALTER TABLE turns ADD COLUMN provider TEXT;
ALTER TABLE turns ADD COLUMN provider_model TEXT;
-- What bounds it: its ceilings of tokens, or the price of its tokens, which is at most its hold.
ALTER TABLE turns ADD COLUMN limited_by TEXT NOT NULL DEFAULT 'tokens'
    CHECK (limited_by IN ('tokens', 'cost', 'nothing'));
