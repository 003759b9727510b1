-- A lifetime counts from the first start. When it is over the sandbox never runs again. When older
-- sandboxes were started first is not known: theirs counts from their next start.
ALTER TABLE sandboxes ADD COLUMN first_started_at BIGINT;
ALTER TABLE sandboxes ADD COLUMN expired_at BIGINT;
-- The one thing of the sealed request that has to be known also when nobody can open it.
ALTER TABLE sandboxes ADD COLUMN max_lifetime_seconds BIGINT;
-- Made for one task; nobody wants it when the process that made it is gone.
ALTER TABLE sandboxes ADD COLUMN ephemeral BOOLEAN NOT NULL DEFAULT FALSE;
