-- Snapshots of sandboxes' files. They outlive their sandboxes: they exist so that work survives.
CREATE TABLE snapshots (
    id TEXT PRIMARY KEY,
    sandbox_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Arrays of texts, as JSON.
    tags TEXT NOT NULL,
    paths TEXT NOT NULL,
    -- Of the object, in bytes, and its SHA-256 in hexadecimal digits.
    size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    -- 'folder' or 'bucket'.
    place TEXT NOT NULL,
    -- The upload under way to a bucket, which has to be taken back when it was cut off.
    upload TEXT,
    -- 'making', 'ready' or 'deleting'. Only what is ready is ever shown.
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX snapshots_of_sandbox ON snapshots (sandbox_id, created_at);
