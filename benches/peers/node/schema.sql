-- What the service keeps. The server is as shipped: fsync and synchronous_commit are on.

CREATE TABLE api_keys (
    hash bytea PRIMARY KEY,
    application_id uuid NOT NULL
);

CREATE TABLE domains (
    name text PRIMARY KEY,
    application_id uuid NOT NULL,
    verified_at timestamptz
);

CREATE TABLE grants (
    id uuid PRIMARY KEY,
    application_id uuid NOT NULL,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    domain text NOT NULL,
    daily_limit integer NOT NULL
);

-- What quotas count.
CREATE TABLE daily_sends (
    grant_id uuid NOT NULL,
    day date NOT NULL,
    sent integer NOT NULL,
    PRIMARY KEY (grant_id, day)
);

-- What was just sent, so that the same is not sent twice by mistake.
CREATE TABLE recent_sends (
    grant_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    message_id uuid NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (grant_id, content_hash)
);
CREATE INDEX recent_sends_by_age ON recent_sends (sent_at);

CREATE TABLE suppressions (
    application_id uuid NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (application_id, address)
);

CREATE TABLE threads (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL,
    subject text NOT NULL,
    latest_at timestamptz NOT NULL
);
CREATE INDEX threads_by_grant ON threads (grant_id, latest_at);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL,
    thread_id uuid NOT NULL,
    date timestamptz NOT NULL,
    outgoing boolean NOT NULL,
    unread boolean NOT NULL,
    folders text[] NOT NULL,
    header_id text NOT NULL,
    summary jsonb NOT NULL,
    raw bytea NOT NULL
);
CREATE INDEX messages_by_grant ON messages (grant_id, date);
CREATE INDEX messages_by_thread ON messages (thread_id, date);
CREATE INDEX messages_by_header_id ON messages (grant_id, header_id);

-- One recipient of one message.
CREATE TABLE queue (
    id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    recipient text NOT NULL,
    destination text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease uuid
);
CREATE INDEX queue_due ON queue (due_at);
CREATE INDEX queue_by_message ON queue (message_id);

CREATE TABLE events (
    position bigserial PRIMARY KEY,
    application_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    name text NOT NULL,
    message_id uuid NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX events_by_application ON events (application_id, position);
