-- The first schema. One text for both engines; see db/dialect.rs for the words in braces.
-- Times are microseconds since the epoch, flags are 0 or 1, ids are UUID version 7 (16 bytes).

-- Who exists -------------------------------------------------------------------------------------------------------

CREATE TABLE organizations (
    id {id} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    grant_count {int} NOT NULL DEFAULT 0,
    created_at {int} NOT NULL
) {clustered};

CREATE TABLE applications (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    environment TEXT NOT NULL,
    default_workspace_id {id} NOT NULL,
    created_at {int} NOT NULL
) {clustered};

-- A key belongs to an application, or (application_id null) to the operator of the organization.
CREATE TABLE api_keys (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    application_id {id} REFERENCES applications (id),
    name TEXT NOT NULL,
    hash {bytes} NOT NULL UNIQUE,
    created_at {int} NOT NULL
) {clustered};

CREATE TABLE domains (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL UNIQUE,
    verified_at {int},
    created_at {int} NOT NULL
) {clustered};

CREATE TABLE dkim_keys (
    domain_id {id} NOT NULL REFERENCES domains (id),
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    private_key {bytes} NOT NULL,
    public_record TEXT NOT NULL,
    PRIMARY KEY (domain_id, selector)
) {clustered};

CREATE TABLE policies (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    daily_sends_max {int},
    created_at {int} NOT NULL
) {clustered};

CREATE TABLE workspaces (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    policy_id {id} REFERENCES policies (id),
    created_at {int} NOT NULL
) {clustered};

CREATE TABLE grants (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    workspace_id {id} NOT NULL REFERENCES workspaces (id),
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX grants_by_application ON grants (application_id, created_at, id);

-- Mailboxes whose grant is gone and whose content is still to be removed, a little at a time.
CREATE TABLE removed_grants (
    grant_id {id} NOT NULL PRIMARY KEY,
    removed_at {int} NOT NULL
) {clustered};

-- What a mailbox holds ---------------------------------------------------------------------------------------------

-- The counters of one mailbox that every change touches: octets kept and the sequence of its events.
-- The row is the lock under which the mailbox changes.
CREATE TABLE mailboxes (
    grant_id {id} NOT NULL PRIMARY KEY,
    storage_octets {int} NOT NULL,
    event_sequence {int} NOT NULL
) {clustered};

-- Raw messages. Small ones are inline and compressed, larger ones in the blob store under their hash (data is null).
CREATE TABLE blobs (
    id {id} NOT NULL PRIMARY KEY,
    hash {bytes} NOT NULL,
    octets {int} NOT NULL,
    data {bytes},
    copies {int} NOT NULL
) {strict};
CREATE INDEX blobs_external ON blobs (hash) WHERE data IS NULL;

-- New rows go to the end of this table and of its index: ids grow with time.
CREATE TABLE messages (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    thread_id {id} NOT NULL,
    blob_id {id} NOT NULL,
    outgoing {int} NOT NULL,
    date {int} NOT NULL,
    unread {int} NOT NULL,
    starred {int} NOT NULL,
    octets {int} NOT NULL,
    folders TEXT NOT NULL,
    summary TEXT NOT NULL
) {strict};
CREATE INDEX messages_by_thread ON messages (thread_id, date, id);

-- Every listing that a message appears in: one row for the whole mailbox (folder '') and one for each folder.
CREATE TABLE listings (
    grant_id {id} NOT NULL,
    folder TEXT NOT NULL,
    date {int} NOT NULL,
    message_id {id} NOT NULL,
    PRIMARY KEY (grant_id, folder, date, message_id)
) {clustered};

CREATE TABLE folder_counts (
    grant_id {id} NOT NULL,
    folder TEXT NOT NULL,
    total {int} NOT NULL,
    unread {int} NOT NULL,
    PRIMARY KEY (grant_id, folder)
) {clustered};

CREATE TABLE threads (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    subject TEXT NOT NULL,
    earliest_date {int} NOT NULL,
    received_date {int},
    sent_date {int},
    sort_date {int} NOT NULL
) {strict};
CREATE INDEX threads_by_grant ON threads (grant_id, sort_date, id);

-- How a reply finds its thread: 64-bit hashes of Message-IDs (and of sender plus subject, for the fallback).
CREATE TABLE thread_keys (
    grant_id {id} NOT NULL,
    key {int} NOT NULL,
    thread_id {id} NOT NULL,
    date {int} NOT NULL,
    PRIMARY KEY (grant_id, key, thread_id)
) {clustered};

-- Sending ----------------------------------------------------------------------------------------------------------

-- The ledger of sends: what daily quotas count.
CREATE TABLE daily_sends (
    grant_id {id} NOT NULL,
    day {int} NOT NULL,
    sent {int} NOT NULL,
    PRIMARY KEY (grant_id, day)
) {clustered};

-- A message on its way out, until its last recipient is settled. quota_day is null once the quota it took can no
-- longer be given back: a recipient's server has answered for it.
CREATE TABLE outbound (
    message_id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    application_id {id} NOT NULL,
    blob_id {id} NOT NULL,
    reverse_path TEXT NOT NULL,
    signature {bytes},
    queued_at {int} NOT NULL,
    recipients_open {int} NOT NULL,
    quota_day {int}
) {strict};

-- One recipient of one message. A leased row is due again when its lease ends; a held row is never due. A row is
-- ambiguous once a server may have taken the message without saying so (RFC 1047).
CREATE TABLE queue (
    id {id} NOT NULL PRIMARY KEY,
    message_id {id} NOT NULL,
    recipient TEXT NOT NULL,
    due_at {int},
    attempts {int} NOT NULL,
    ambiguous {int} NOT NULL DEFAULT 0,
    lease {id},
    owner TEXT,
    last_reply TEXT
) {strict};
CREATE INDEX queue_due ON queue (due_at, id);
CREATE INDEX queue_by_message ON queue (message_id);

-- Being told -------------------------------------------------------------------------------------------------------

-- The event log. Positions have no gaps and become visible in order.
CREATE TABLE events (
    position {int} NOT NULL PRIMARY KEY,
    id {id} NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    grant_sequence {int} NOT NULL,
    name TEXT NOT NULL,
    message_id {id},
    data TEXT NOT NULL,
    created_at {int} NOT NULL
) {strict};

CREATE INDEX events_by_application ON events (application_id, position);

CREATE TABLE event_head (
    one {int} NOT NULL PRIMARY KEY,
    position {int} NOT NULL
) {strict};
INSERT INTO event_head (one, position) VALUES (1, 0);

CREATE TABLE webhooks (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    triggers TEXT NOT NULL,
    secret TEXT NOT NULL,
    status TEXT NOT NULL,
    notification_addresses TEXT NOT NULL,
    compressed {int} NOT NULL,
    position {int} NOT NULL,
    lease_until {int} NOT NULL,
    owner TEXT NOT NULL,
    status_updated_at {int} NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    UNIQUE (application_id, url)
) {clustered};
CREATE INDEX webhooks_by_application ON webhooks (application_id, created_at, id);

-- Events that a webhook did not take at once, and those of the same mailbox behind them: the order is kept.
CREATE TABLE webhook_parked (
    webhook_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    position {int} NOT NULL,
    attempts {int} NOT NULL,
    due_at {int} NOT NULL,
    PRIMARY KEY (webhook_id, grant_id, position)
) {clustered};
CREATE INDEX webhook_parked_due ON webhook_parked (webhook_id, due_at);
