-- The product's tables, in the SQL that SQLite and Postgres share.
--
-- Ids are UUIDv7 as text, times are milliseconds since the Unix epoch, money is whole micro-credits
-- (1 credit = 1 000 000), states are words, structures are JSON as text.

-- What was made for this database once and for all.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE accounts (
    id         TEXT   PRIMARY KEY,
    kind       TEXT   NOT NULL CHECK (kind IN ('guest', 'member')),
    -- Sum of the account's ledger entries, kept by the transaction that writes an entry.
    posted     BIGINT NOT NULL DEFAULT 0,
    -- Sum of the account's open holds, kept by the transaction that opens or closes one.
    held       BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0),
    created_at BIGINT NOT NULL,
    CHECK (posted >= held)
);

-- Web sessions. The secret itself is in the browser's cookie only.
CREATE TABLE logins (
    token_hash TEXT   PRIMARY KEY,
    account_id TEXT   NOT NULL REFERENCES accounts (id),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    -- Moves on with use, up to expires_at, which does not.
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX logins_by_end ON logins (idle_until);
CREATE INDEX logins_by_account ON logins (account_id);

CREATE TABLE chats (
    id            TEXT   PRIMARY KEY,
    account_id    TEXT   NOT NULL REFERENCES accounts (id),
    title         TEXT   NOT NULL,
    -- Place of the next message; a turn takes two.
    next_position BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    -- A deleted chat keeps its row, without title and messages, for as long as its bills name it.
    deleted_at    BIGINT
);
CREATE INDEX chats_by_account ON chats (account_id, updated_at);

-- Every sandbox a chat ever had. Our id is the idempotency key of its creation.
CREATE TABLE sandboxes (
    id          TEXT   PRIMARY KEY,
    chat_id     TEXT   NOT NULL REFERENCES chats (id),
    account_id  TEXT   NOT NULL REFERENCES accounts (id),
    -- Since when the orchestrator may have made it, whether or not its name has come.
    asked_at    BIGINT,
    -- The orchestrator's name for it, once it has one.
    remote_id   TEXT,
    -- The agent session: one for each chat and sandbox.
    session_id  TEXT   NOT NULL UNIQUE,
    state       TEXT   NOT NULL
                CHECK (state IN ('provisioning', 'running', 'stopped', 'lost', 'deleting', 'deleted')),
    -- Number of the session's last event that is part of the chat's history.
    settled_seq BIGINT NOT NULL DEFAULT 0 CHECK (settled_seq >= 0),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX sandboxes_one_live_per_chat ON sandboxes (chat_id)
    WHERE state IN ('provisioning', 'running', 'stopped');
CREATE INDEX sandboxes_to_delete ON sandboxes (updated_at) WHERE state = 'deleting';
CREATE INDEX sandboxes_lost ON sandboxes (updated_at) WHERE state = 'lost';
CREATE INDEX sandboxes_live_by_account ON sandboxes (account_id)
    WHERE state IN ('provisioning', 'running', 'stopped');
CREATE INDEX sandboxes_by_chat ON sandboxes (chat_id, created_at);

CREATE TABLE turns (
    -- Chosen by the browser: the idempotency key of everything in the turn.
    id                TEXT   PRIMARY KEY,
    account_id        TEXT   NOT NULL REFERENCES accounts (id),
    chat_id           TEXT   NOT NULL REFERENCES chats (id),
    -- Where it runs; stored before anything is dispatched.
    sandbox_id        TEXT   NOT NULL REFERENCES sandboxes (id),
    -- Place of the person's message; the answer's is the next.
    position          BIGINT NOT NULL,
    state             TEXT   NOT NULL CHECK (state IN
                      ('provisioning', 'running', 'completed', 'failed', 'stopped', 'interrupted')),
    model             TEXT   NOT NULL,
    -- The price the turn began with, in micro-credits per million tokens.
    price_version     TEXT   NOT NULL,
    price_input       BIGINT NOT NULL CHECK (price_input >= 0),
    price_output      BIGINT NOT NULL CHECK (price_output >= 0),
    price_cache_read  BIGINT NOT NULL CHECK (price_cache_read >= 0),
    price_cache_write BIGINT NOT NULL CHECK (price_cache_write >= 0),
    max_input_tokens  BIGINT NOT NULL,
    max_output_tokens BIGINT NOT NULL,
    -- Until then one worker has the turn to itself.
    lease_until       BIGINT NOT NULL,
    -- The orchestrator has confirmed the dispatch.
    dispatched_at     BIGINT,
    -- The turn's events come after this number.
    since_seq         BIGINT NOT NULL DEFAULT 0,
    stop_requested_at BIGINT,
    -- The orchestrator has answered that it woke the failed sandbox, or that it can't.
    woken_at          BIGINT,
    -- Since when the orchestrator could not be asked.
    unreachable_since BIGINT,
    notice            TEXT,
    -- What the browser believes was used, as JSON. Never billed from.
    report            TEXT,
    created_at        BIGINT NOT NULL,
    ended_at          BIGINT,
    CHECK ((ended_at IS NULL) = (state IN ('provisioning', 'running')))
);
CREATE UNIQUE INDEX turns_one_open_per_chat ON turns (chat_id)
    WHERE state IN ('provisioning', 'running');
CREATE INDEX turns_open_by_lease ON turns (lease_until)
    WHERE state IN ('provisioning', 'running');
CREATE INDEX turns_by_account ON turns (account_id, created_at);

CREATE TABLE messages (
    id            TEXT   PRIMARY KEY,
    chat_id       TEXT   NOT NULL REFERENCES chats (id),
    turn_id       TEXT   NOT NULL REFERENCES turns (id),
    position      BIGINT NOT NULL,
    role          TEXT   NOT NULL CHECK (role IN ('user', 'assistant')),
    parts         TEXT   NOT NULL,
    state         TEXT   NOT NULL CHECK (state IN ('complete', 'stopped', 'failed', 'interrupted')),
    error         TEXT,
    created_at    BIGINT NOT NULL,
    UNIQUE (turn_id, role),
    UNIQUE (chat_id, position)
);

-- One for each turn: reserves what the turn may cost at most.
CREATE TABLE holds (
    turn_id    TEXT   PRIMARY KEY REFERENCES turns (id),
    account_id TEXT   NOT NULL REFERENCES accounts (id),
    amount     BIGINT NOT NULL CHECK (amount >= 0),
    -- settled: the turn was billed; voided: it cost nothing.
    state      TEXT   NOT NULL CHECK (state IN ('open', 'settled', 'voided')),
    created_at BIGINT NOT NULL,
    closed_at  BIGINT,
    CHECK ((closed_at IS NULL) = (state = 'open'))
);
CREATE INDEX holds_by_account ON holds (account_id) WHERE state = 'open';

-- Append-only: triggers refuse UPDATE and DELETE. The house is the other side of every entry.
CREATE TABLE ledger (
    id         TEXT   PRIMARY KEY,
    account_id TEXT   NOT NULL REFERENCES accounts (id),
    kind       TEXT   NOT NULL CHECK (kind IN ('grant', 'turn')),
    -- Positive: to the account; negative: from it.
    amount     BIGINT NOT NULL CHECK (amount <> 0),
    -- What the entry is for. Unique, so that nothing is booked twice.
    reference  TEXT   NOT NULL UNIQUE,
    turn_id    TEXT   REFERENCES turns (id),
    created_at BIGINT NOT NULL,
    CHECK ((kind = 'turn') = (turn_id IS NOT NULL)),
    CHECK (kind <> 'grant' OR amount > 0),
    CHECK (kind <> 'turn' OR amount < 0)
);
CREATE INDEX ledger_by_account ON ledger (account_id, created_at);

-- What the orchestrator metered for a turn, and what that cost.
CREATE TABLE usage (
    turn_id            TEXT   PRIMARY KEY REFERENCES turns (id),
    account_id         TEXT   NOT NULL REFERENCES accounts (id),
    -- The model that served, which may be another than the one asked for.
    model              TEXT   NOT NULL,
    input_tokens       BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens      BIGINT NOT NULL CHECK (output_tokens >= 0),
    cache_read_tokens  BIGINT NOT NULL CHECK (cache_read_tokens >= 0),
    cache_write_tokens BIGINT NOT NULL CHECK (cache_write_tokens >= 0),
    -- What the price list makes of it; charged is less where the hold was.
    cost               BIGINT NOT NULL CHECK (cost >= 0),
    charged            BIGINT NOT NULL CHECK (charged >= 0 AND charged <= cost),
    duration_ms        BIGINT NOT NULL CHECK (duration_ms >= 0),
    created_at         BIGINT NOT NULL
);

-- Webhooks that were acted on.
CREATE TABLE webhook_events (
    id          TEXT   PRIMARY KEY,
    received_at BIGINT NOT NULL
);
CREATE INDEX webhook_events_by_age ON webhook_events (received_at);
