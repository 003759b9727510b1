-- A lifetime counts from the first start. When it is over the sandbox never runs again.
ALTER TABLE sandboxes ADD COLUMN first_started_at BIGINT;
ALTER TABLE sandboxes ADD COLUMN expired_at BIGINT;
-- Made for one task; nobody wants it when the process that made it is gone.
ALTER TABLE sandboxes ADD COLUMN ephemeral BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE sandboxes SET first_started_at = started_at;
