-- When sandboxes ran. The rows outlive their sandboxes: what was used stays used. While a sandbox
-- runs `seen_at` is moved on, so that a killed process leaves the time until it was last seen.
CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    sandbox_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX runs_open ON runs (key) WHERE ended_at IS NULL;
