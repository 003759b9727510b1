-- Facts about the file itself: the epoch of its logs, and whether it was closed in order.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sandboxes (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT UNIQUE,
    -- What was asked for (JSON), so that a resume starts the same sandbox again.
    request TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('provisioning', 'running', 'stopped', 'failed', 'deleted')),
    error TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    last_activity_at BIGINT NOT NULL
);

-- `key` is never used again, so that events of a deleted session can't turn up in another's log.
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id),
    -- Unknown until a mapping says whose the session is.
    user_id TEXT,
    runtime_session_id TEXT,
    created_at BIGINT NOT NULL
);

CREATE INDEX sessions_by_sandbox ON sessions (sandbox_id);

CREATE TABLE turns (
    session INTEGER NOT NULL REFERENCES sessions (key),
    id TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('running', 'completed', 'failed', 'aborted', 'interrupted')),
    model TEXT NOT NULL,
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    final_text TEXT NOT NULL DEFAULT '',
    parts TEXT NOT NULL DEFAULT '[]',
    error TEXT,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL DEFAULT 0,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (session, id)
);

-- One turn at a time in a session.
CREATE UNIQUE INDEX turns_running ON turns (session) WHERE state = 'running';

CREATE TABLE events (
    session INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) WITHOUT ROWID;
