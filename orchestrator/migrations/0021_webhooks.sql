-- What the product is still to be told: written with the end of a turn, and gone once it is delivered.
-- Rows outlive the sessions that they tell of. `key` is never used again, so that an answer that comes
-- late is never taken for that to a newer row.
CREATE TABLE webhooks (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Of the event: the receiver knows by it what came twice.
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Tries since the last start that came to nothing, and when the next one is due.
    tries BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL
);

CREATE INDEX webhooks_of_session ON webhooks (session_id, key);
CREATE INDEX webhooks_due ON webhooks (due_at, key);
