-- What the agent of a turn may do without asking: the orchestrator's name of the profile.
ALTER TABLE turns ADD COLUMN permissions TEXT NOT NULL DEFAULT 'default'
    CHECK (permissions IN ('default', 'careful', 'read-only'));
