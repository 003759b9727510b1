CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    -- Sealed.
    value TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;
