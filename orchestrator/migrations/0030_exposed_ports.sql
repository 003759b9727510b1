-- Ports of sandboxes that can be reached from outside. `key` is never used again: it is part of what
-- the address of a port is made from, so that an address that was taken back stays dead.
CREATE TABLE exposed_ports (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    port INTEGER NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    UNIQUE (sandbox_id, port)
);
