-- The first schema. One text for both engines; see db/dialect.rs for the words in braces.
-- Times are microseconds since the epoch, flags are 0 or 1, ids are UUID version 7 (16 bytes).

-- Who exists -------------------------------------------------------------------------------------------------------

-- What it uses is counted anew now and then: the next time at recount_at; recounted says what was found the last time, as
-- JSON, and recount_drift how many counters were wrong. The number of repairs keeps one drift from being repaired twice.
-- Of the mailboxes is known how many there were at most (grant_peak) in the month in which their number changed last
-- (count_month), how many when that month began (closed_count), and the most in the month in which it changed before
-- (closed_peak, closed_month). read_month is the last month of which the readings were taken.
CREATE TABLE organizations (
    id {id} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    grant_count {int} NOT NULL DEFAULT 0,
    recount_at {int} NOT NULL DEFAULT 0,
    recounted TEXT,
    recount_drift {int} NOT NULL DEFAULT 0,
    repairs {int} NOT NULL DEFAULT 0,
    count_month {int} NOT NULL DEFAULT 0,
    grant_peak {int} NOT NULL DEFAULT 0,
    closed_month {int} NOT NULL DEFAULT 0,
    closed_count {int} NOT NULL DEFAULT 0,
    closed_peak {int} NOT NULL DEFAULT 0,
    read_month {int} NOT NULL DEFAULT 0,
    active_stops {int} NOT NULL DEFAULT 0,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX organizations_to_recount ON organizations (recount_at, id);
CREATE INDEX organizations_to_read ON organizations (read_month, id);
CREATE INDEX organizations_adrift ON organizations (id) WHERE recount_drift > 0;

-- A sub-account. The details (branding and other fields that are kept and shown) are a JSON object. The rules' version
-- goes up in every transaction that changes a rule, a list, or which rules a workspace uses: what was read under one
-- version holds as long as that version does.
CREATE TABLE applications (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    environment TEXT NOT NULL,
    default_workspace_id {id} NOT NULL,
    details TEXT NOT NULL,
    rules_version {int} NOT NULL DEFAULT 0,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX applications_by_organization ON applications (organization_id, id);

-- Where sign-in may lead back to. Settings are a JSON object.
CREATE TABLE redirect_uris (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    url TEXT NOT NULL,
    platform TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at {int} NOT NULL,
    UNIQUE (application_id, url)
) {clustered};
CREATE INDEX redirect_uris_by_application ON redirect_uris (application_id, id);

-- A key belongs to an application, or (application_id null) to the operator of the organization; installation is 1
-- for keys that may also do what concerns all organizations. Permissions are a JSON list. The hint is how the key
-- begins, for people to tell it from others. Capabilities are what may be sent with it, as JSON; null is everything. After a rotation the hash of the secret before is good until previous_until.
CREATE TABLE api_keys (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    application_id {id} REFERENCES applications (id),
    installation {int} NOT NULL,
    name TEXT NOT NULL,
    hash {bytes} NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    previous_hash {bytes},
    previous_until {int},
    permissions TEXT NOT NULL,
    capabilities TEXT,
    expires_at {int},
    revoked_at {int},
    last_used_at {int},
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX api_keys_by_application ON api_keys (application_id, id);
CREATE INDEX api_keys_of_operators ON api_keys (organization_id, id) WHERE application_id IS NULL;
CREATE UNIQUE INDEX api_keys_by_previous ON api_keys (previous_hash) WHERE previous_hash IS NOT NULL;

-- Parties that sign their requests. The public key is RSA, SubjectPublicKeyInfo in DER.
CREATE TABLE service_accounts (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    public_key {bytes} NOT NULL,
    permissions TEXT NOT NULL,
    revoked_at {int},
    last_used_at {int},
    created_at {int} NOT NULL
) {clustered};
CREATE INDEX service_accounts_by_organization ON service_accounts (organization_id, id);

-- Nonces of signed requests that may still be replayed.
CREATE TABLE used_nonces (
    account_id {id} NOT NULL,
    nonce TEXT NOT NULL,
    expires_at {int} NOT NULL,
    PRIMARY KEY (account_id, nonce)
) {clustered};
CREATE INDEX used_nonces_by_expiry ON used_nonces (expires_at);

-- Mail is received for a domain once it is known to be its organization's (owned_at), and sent once everything that
-- sending needs is right in the DNS (verified_at). A trusted domain is both on the operator's word and never checked.
CREATE TABLE domains (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    branded {int} NOT NULL,
    trusted {int} NOT NULL,
    ownership_token TEXT NOT NULL,
    grant_count {int} NOT NULL DEFAULT 0,
    owned_at {int},
    verified_at {int},
    check_at {int},
    blocks_at {int} NOT NULL DEFAULT 0,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX domains_by_organization ON domains (organization_id, id);
CREATE INDEX domains_to_check ON domains (check_at);
CREATE INDEX domains_to_ask_for ON domains (blocks_at);

-- What block lists last said of a domain, and of the addresses from which its mail leaves (docs/domains.md). Codes are a
-- JSON list; empty for what a list does not have.
CREATE TABLE block_answers (
    domain_id {id} NOT NULL REFERENCES domains (id),
    zone TEXT NOT NULL,
    subject TEXT NOT NULL,
    codes TEXT NOT NULL,
    reason TEXT NOT NULL,
    since {int},
    answered_at {int},
    asked_at {int} NOT NULL,
    failures {int} NOT NULL,
    failure TEXT NOT NULL,
    PRIMARY KEY (domain_id, zone, subject)
) {clustered};

-- What other servers report of the mail of a domain (dmarc) and of connections to its servers (tls). They are claims of
-- whoever sent them. The key is a hash of what makes a report the same.
CREATE TABLE domain_reports (
    domain_id {id} NOT NULL REFERENCES domains (id),
    id {id} NOT NULL,
    kind TEXT NOT NULL,
    key {bytes} NOT NULL,
    reporter TEXT NOT NULL,
    contact TEXT NOT NULL,
    report_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    begins_at {int} NOT NULL,
    ends_at {int} NOT NULL,
    total {int} NOT NULL,
    failed {int} NOT NULL,
    quarantined {int} NOT NULL,
    rejected {int} NOT NULL,
    PRIMARY KEY (domain_id, id)
) {clustered};
CREATE UNIQUE INDEX domain_reports_by_key ON domain_reports (domain_id, key);
CREATE INDEX domain_reports_by_kind ON domain_reports (domain_id, kind, id);
CREATE INDEX domain_reports_by_age ON domain_reports (id);

-- What a report says of each source: of an address that sent mail (what is the disposition, dkim and spf say whether it
-- was aligned), or of connections that failed (what is the kind of failure, source the server).
CREATE TABLE domain_report_rows (
    domain_id {id} NOT NULL,
    kind TEXT NOT NULL,
    report_id {id} NOT NULL,
    number {int} NOT NULL,
    source TEXT NOT NULL,
    what TEXT NOT NULL,
    dkim {int} NOT NULL,
    spf {int} NOT NULL,
    messages {int} NOT NULL,
    PRIMARY KEY (domain_id, kind, report_id, number)
) {clustered};

-- What the DNS was last found to hold, for each record of a domain. The selector is empty but for signing keys.
CREATE TABLE domain_records (
    domain_id {id} NOT NULL REFERENCES domains (id),
    kind TEXT NOT NULL,
    selector TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    failures {int} NOT NULL,
    checked_at {int},
    verified_at {int},
    PRIMARY KEY (domain_id, kind, selector)
) {clustered};

-- The state is active (signs), next (to be published, signs once it is found in the DNS) or retired (still to be
-- published, for mail under way).
CREATE TABLE dkim_keys (
    domain_id {id} NOT NULL REFERENCES domains (id),
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    private_key {bytes} NOT NULL,
    public_record TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at {int} NOT NULL,
    retired_at {int},
    PRIMARY KEY (domain_id, selector)
) {clustered};

-- Limits that are null leave the plan's. Lists and objects (attachment types, options, rules) are JSON. Whether sends
-- look at their recipients first stands in the options; the column is for those who decide by it.
CREATE TABLE policies (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    attachment_octets_max {int},
    attachments_max {int},
    attachment_types TEXT NOT NULL,
    inbound_message_octets_max {int},
    storage_octets_max {int},
    daily_received_max {int},
    daily_sends_max {int},
    inbox_retention_days {int},
    spam_retention_days {int},
    use_list_dnsbl {int} NOT NULL,
    use_header_anomaly_detection {int} NOT NULL,
    spam_sensitivity_permille {int} NOT NULL,
    options TEXT NOT NULL,
    validate_recipients {int} NOT NULL,
    rules TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX policies_by_application ON policies (application_id, id);

-- What becomes of sends over a quota that resets: reject, hold or approve.
CREATE TABLE workspaces (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    domain TEXT NOT NULL,
    auto_group {int} NOT NULL,
    policy_id {id} REFERENCES policies (id),
    on_quota TEXT NOT NULL DEFAULT 'reject',
    breakers TEXT,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX workspaces_by_application ON workspaces (application_id, id);
CREATE INDEX workspaces_by_domain ON workspaces (application_id, domain, id);
CREATE INDEX workspaces_by_policy ON workspaces (policy_id);

-- Rules and lists --------------------------------------------------------------------------------------------------

-- Direction is inbound or outbound, mode enforce or shadow. The conditions and actions are JSON.
CREATE TABLE rules (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    description TEXT,
    priority {int} NOT NULL,
    enabled {int} NOT NULL,
    mode TEXT NOT NULL,
    direction TEXT NOT NULL,
    match_operator TEXT NOT NULL,
    conditions TEXT NOT NULL,
    actions TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX rules_by_application ON rules (application_id, id);

-- Which rules a workspace uses, in the order in which it named them.
CREATE TABLE workspace_rules (
    workspace_id {id} NOT NULL REFERENCES workspaces (id),
    position {int} NOT NULL,
    rule_id {id} NOT NULL REFERENCES rules (id),
    PRIMARY KEY (workspace_id, position)
) {clustered};
CREATE INDEX workspace_rules_by_rule ON workspace_rules (rule_id, workspace_id);

-- Kind is domain, tld or address. The version goes up with every change of the items. Removals are remembered for a
-- while: who knows the items as of a version that is not before removals_since needs to read only what changed.
CREATE TABLE lists (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    description TEXT,
    kind TEXT NOT NULL,
    items_count {int} NOT NULL,
    version {int} NOT NULL,
    removals_since {int} NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX lists_by_application ON lists (application_id, id);

-- An item, with the version of the list that brought it.
CREATE TABLE list_items (
    list_id {id} NOT NULL,
    value TEXT NOT NULL,
    id {id} NOT NULL,
    version {int} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (list_id, value)
) {clustered};
CREATE INDEX list_items_by_version ON list_items (list_id, version, value);

CREATE TABLE list_removals (
    list_id {id} NOT NULL,
    version {int} NOT NULL,
    value TEXT NOT NULL,
    removed_at {int} NOT NULL,
    PRIMARY KEY (list_id, version, value)
) {clustered};
CREATE INDEX list_removals_by_time ON list_removals (removed_at, list_id, version);

-- Lists that are gone and whose items are still to be removed, a little at a time.
CREATE TABLE removed_lists (
    list_id {id} NOT NULL PRIMARY KEY,
    removed_at {int} NOT NULL
) {clustered};

-- Why a message was judged as it was. Input, applied actions and ids of rules are JSON. Ids of records and of messages grow
-- with time, so that new rows go to the end of the table and of the index by message.
CREATE TABLE rule_evaluations (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    message_id {id},
    stage TEXT NOT NULL,
    input TEXT NOT NULL,
    applied TEXT NOT NULL,
    matched TEXT NOT NULL,
    shadow TEXT NOT NULL,
    evaluated_at {int} NOT NULL
) {strict};
CREATE INDEX rule_evaluations_by_grant ON rule_evaluations (grant_id, id);
CREATE INDEX rule_evaluations_by_message ON rule_evaluations (message_id, id) WHERE message_id IS NOT NULL;
-- What was to be sent and was refused: of everything else that was sent there is a copy.
CREATE INDEX rule_evaluations_refused ON rule_evaluations (application_id, id)
    WHERE message_id IS NULL AND stage = 'outbound_send';

-- Mail that mailboxes did not take. Of one mailbox, day and reason a bounded number is kept; the last of them stands for
-- all that came after it (times, last_at). Sender is the reverse path, empty for the null one; author is who the message
-- names, if it was there.
CREATE TABLE refused_mail (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    stage TEXT NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    sender TEXT NOT NULL,
    author TEXT,
    recipient TEXT NOT NULL,
    message_id_header TEXT,
    octets {int},
    ip TEXT,
    scope TEXT,
    maximum {int},
    used {int},
    resets_at {int},
    evaluation_id {id},
    times {int} NOT NULL,
    at {int} NOT NULL,
    last_at {int} NOT NULL
) {strict};
CREATE INDEX refused_mail_by_grant ON refused_mail (grant_id, id);

-- How often each reason was met on a day, and the last refusal that was kept.
CREATE TABLE refused_mail_days (
    grant_id {id} NOT NULL,
    day {int} NOT NULL,
    code TEXT NOT NULL,
    times {int} NOT NULL,
    last_id {id} NOT NULL,
    PRIMARY KEY (grant_id, day, code)
) {clustered};
CREATE INDEX refused_mail_days_by_age ON refused_mail_days (day);

-- Who signs in, and where mailboxes are ----------------------------------------------------------------------------

CREATE TABLE connectors (
    application_id {id} NOT NULL REFERENCES applications (id),
    provider TEXT NOT NULL,
    id {id} NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    PRIMARY KEY (application_id, provider)
) {clustered};

-- A mailbox. It is in at most one workspace; without one, what the plan allows holds. Placement says how it came to
-- be there: explicit, auto_group, default or moved.
CREATE TABLE grants (
    application_id {id} NOT NULL REFERENCES applications (id),
    id {id} NOT NULL,
    workspace_id {id} REFERENCES workspaces (id),
    placement TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    state TEXT,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    blocked {int} NOT NULL,
    app_password TEXT,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    PRIMARY KEY (application_id, id)
) {clustered};
CREATE INDEX grants_by_workspace ON grants (workspace_id, id);
CREATE INDEX grants_by_update ON grants (application_id, updated_at, id);
-- Whether somebody shows the name of a mailbox without being it.
CREATE INDEX grants_by_name ON grants (lower(name), application_id);
CREATE INDEX grants_in_no_workspace ON grants (application_id, id) WHERE workspace_id IS NULL;
CREATE UNIQUE INDEX grants_by_id ON grants (id);

-- Signing in: codes to exchange, access and refresh tokens, stored as keyed hashes only. All that one sign-in gave has
-- its id. What may be used once is kept for a while after it was, so that a second use is noticed.
CREATE TABLE tokens (
    hash {bytes} NOT NULL PRIMARY KEY,
    sign_in_id {id} NOT NULL,
    kind TEXT NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT,
    offline {int} NOT NULL,
    single_use {int} NOT NULL,
    used_at {int},
    expires_at {int},
    created_at {int} NOT NULL
) {clustered};
CREATE INDEX tokens_by_sign_in ON tokens (sign_in_id);
CREATE INDEX tokens_by_grant ON tokens (grant_id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

-- Work that goes over many mailboxes a little at a time. Parameters and result are JSON; the cursor is the last mailbox
-- that was looked at.
CREATE TABLE jobs (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    parameters TEXT NOT NULL,
    result TEXT NOT NULL,
    author TEXT NOT NULL,
    cursor_id {id},
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX jobs_by_application ON jobs (application_id, id);
CREATE INDEX jobs_by_kind ON jobs (application_id, kind, id);
CREATE INDEX jobs_by_status ON jobs (status, id);

-- Every change of the control plane: who, when, what, before and after (JSON objects).
CREATE TABLE audit (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL,
    application_id {id},
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id TEXT NOT NULL,
    before TEXT,
    after TEXT,
    request_id TEXT NOT NULL,
    created_at {int} NOT NULL
) {strict};
CREATE INDEX audit_by_application ON audit (application_id, id);
CREATE INDEX audit_by_organization ON audit (organization_id, id);
CREATE INDEX audit_by_target ON audit (target_id, id);

-- Mailboxes whose grant is gone and whose content is still to be removed, a little at a time.
CREATE TABLE removed_grants (
    grant_id {id} NOT NULL PRIMARY KEY,
    removed_at {int} NOT NULL
) {clustered};

-- What a mailbox holds ---------------------------------------------------------------------------------------------

-- The counters of one mailbox that every change touches: octets kept and the sequence of its events.
-- The row is the lock under which the mailbox changes. Whose it is never changes, and is here so that whoever counts
-- something of the mailbox knows it. Ramp is what it may send in the days after a pause, as core::recovery writes it.
CREATE TABLE mailboxes (
    grant_id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL,
    application_id {id} NOT NULL,
    storage_octets {int} NOT NULL,
    event_sequence {int} NOT NULL,
    ramp TEXT,
    marked_until {int} NOT NULL DEFAULT 0,
    marked_next {int} NOT NULL DEFAULT 0,
    searched_until {int} NOT NULL DEFAULT 0
) {clustered};

-- Raw messages. Small ones are inline and compressed, larger ones in the blob store under their hash (data is null). Before
-- them stands what is searched of the message (terms), unless that is made of the message when it is needed: it can be read without the
-- message, and goes with it.
CREATE TABLE blobs (
    id {id} NOT NULL PRIMARY KEY,
    hash {bytes} NOT NULL,
    octets {int} NOT NULL,
    terms {bytes},
    data {bytes},
    copies {int} NOT NULL
) {strict};
CREATE INDEX blobs_external ON blobs (hash) WHERE data IS NULL;

-- New rows go to the end of this table and of its index: ids grow with time. The application is named only where its
-- mailbox sent the message: the mail that it sent is read in the order of time. A draft is a message that is not sent yet:
-- it is in the listing of its folder, and not in that of the whole mailbox. Where it was moved into junk, junked_at says
-- when: what came in there has none.
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
    summary TEXT NOT NULL,
    draft {int} NOT NULL DEFAULT 0,
    sent_by {id},
    junked_at {int},
    assessment TEXT,
    answered {int} NOT NULL DEFAULT 0
) {strict};
-- The last two columns let the turns of a conversation be read from the index alone.
CREATE INDEX messages_by_thread ON messages (thread_id, date, id, outgoing, draft);
CREATE INDEX messages_sent ON messages (sent_by, id) WHERE sent_by IS NOT NULL;

-- Every listing that a message appears in: one row for the whole mailbox (folder '') and one for each folder. Flags are
-- what lists are narrowed by most: 1 unread, 2 with a star, 4 with attachments. 8 is said of what is unread or has
-- attachments and is not later than marked_until of its mailbox, and of some that are: by it the indexes of these know it.
CREATE TABLE listings (
    grant_id {id} NOT NULL,
    folder TEXT NOT NULL,
    date {int} NOT NULL,
    message_id {id} NOT NULL,
    flags {int} NOT NULL,
    PRIMARY KEY (grant_id, folder, date, message_id)
) {clustered};
CREATE INDEX listings_starred ON listings (grant_id, folder, date, message_id, flags) WHERE (flags & 2) = 2;
CREATE INDEX listings_unread ON listings (grant_id, folder, date, message_id, flags) WHERE (flags & 9) = 9;
CREATE INDEX listings_files ON listings (grant_id, folder, date, message_id, flags) WHERE (flags & 12) = 12;

-- What applications hung on messages and drafts, as numbers of key and value.
CREATE TABLE metadata_pairs (
    grant_id {id} NOT NULL,
    pair {int} NOT NULL,
    date {int} NOT NULL,
    message_id {id} NOT NULL,
    PRIMARY KEY (grant_id, pair, date, message_id)
) {clustered};

-- Searching: of most messages of a mailbox the terms are gathered in segments. Later than searched_until of its mailbox is what is in
-- none yet, and what is not later and in none either is late. A segment is in the making (state 0), searched (1), or over
-- (2): then it is being removed. Its messages are in the order of their dates, some of them in a row each (chunk).
CREATE TABLE search_late (
    grant_id {id} NOT NULL,
    date {int} NOT NULL,
    message_id {id} NOT NULL,
    PRIMARY KEY (grant_id, date, message_id)
) {clustered};

CREATE TABLE search_segments (
    grant_id {id} NOT NULL,
    segment {int} NOT NULL,
    level {int} NOT NULL,
    state {int} NOT NULL,
    messages {int} NOT NULL,
    first_date {int} NOT NULL,
    last_date {int} NOT NULL,
    made_at {int} NOT NULL,
    PRIMARY KEY (grant_id, segment)
) {clustered};

CREATE TABLE search_messages (
    grant_id {id} NOT NULL,
    segment {int} NOT NULL,
    chunk {int} NOT NULL,
    data {bytes} NOT NULL,
    PRIMARY KEY (grant_id, segment, chunk)
) {strict};

CREATE TABLE search_postings (
    grant_id {id} NOT NULL,
    segment {int} NOT NULL,
    shard {int} NOT NULL,
    data {bytes} NOT NULL,
    PRIMARY KEY (grant_id, segment, shard)
) {strict};

-- Mailboxes that may have enough for another segment.
CREATE TABLE search_due (
    grant_id {id} NOT NULL PRIMARY KEY
) {clustered};

CREATE TABLE folder_counts (
    grant_id {id} NOT NULL,
    folder TEXT NOT NULL,
    total {int} NOT NULL,
    unread {int} NOT NULL,
    PRIMARY KEY (grant_id, folder)
) {clustered};

-- The folders that were made in mailboxes; those that every mailbox has need no row. In listings and in messages a folder is
-- its id as text. No two folders of a mailbox have the same key, which is the name in lower case.
CREATE TABLE folders (
    grant_id {id} NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    PRIMARY KEY (grant_id, id)
) {clustered};
CREATE UNIQUE INDEX folders_by_name ON folders (grant_id, name_key);

-- Folders that are gone and whose messages are still to be taken out, a little at a time: into the trash, or (hard) for good.
CREATE TABLE removed_folders (
    grant_id {id} NOT NULL,
    id TEXT NOT NULL,
    hard {int} NOT NULL,
    removed_at {int} NOT NULL,
    PRIMARY KEY (grant_id, id)
) {clustered};

-- What was removed from mailboxes because its time was over, by UTC day: all mail by the window of the inbox, junk by that
-- of spam. The windows (null is unlimited) are those under which something was removed last on that day.
CREATE TABLE pruned (
    grant_id {id} NOT NULL,
    day {int} NOT NULL,
    inbox_days {int},
    spam_days {int},
    inbox_messages {int} NOT NULL,
    inbox_octets {int} NOT NULL,
    spam_messages {int} NOT NULL,
    spam_octets {int} NOT NULL,
    removed_at {int} NOT NULL,
    PRIMARY KEY (grant_id, day)
) {clustered};
CREATE INDEX pruned_by_age ON pruned (day);

-- Imports of mail into mailboxes. Of what the source has, so many messages (position) are done: imported or passed over, of
-- which the first are named in skips, a JSON list. With announce each is announced as if it had just come in.
CREATE TABLE imports (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    source TEXT NOT NULL,
    announce {int} NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    position {int} NOT NULL,
    imported {int} NOT NULL,
    octets {int} NOT NULL,
    skipped {int} NOT NULL,
    skips TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX imports_by_grant ON imports (grant_id, id);
CREATE INDEX imports_by_age ON imports (updated_at);

-- Who looks for mail whose time is over goes through all mailboxes in the order of their ids, and begins anew at next_at:
-- this is the last that somebody has taken.
CREATE TABLE pruning_head (
    one {int} NOT NULL PRIMARY KEY CHECK (one = 1),
    last_grant {id} NOT NULL,
    next_at {int} NOT NULL
) {strict};
INSERT INTO pruning_head (one, last_grant, next_at) VALUES (1, {hex_id}('00000000000000000000000000000000'), 0);
-- What applications learn of what their readers put into junk and take out of it. A message that was moved has a row: as what
-- it is to be learned, and as what it was learned (1 spam, -1 other mail, 0 nothing yet). What was learned is one value for
-- each application, as core::spam writes it: hashes of words, and no words. Of whom mail was moved is known to the mailbox.
CREATE TABLE spam_training (
    message_id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    wanted {int} NOT NULL,
    trained {int} NOT NULL,
    moved_at {int} NOT NULL
) {clustered};
CREATE INDEX spam_training_oldest ON spam_training (moved_at, message_id) WHERE wanted <> trained;
CREATE INDEX spam_training_due ON spam_training (application_id, moved_at, message_id) WHERE wanted <> trained;
CREATE INDEX spam_training_done ON spam_training (moved_at) WHERE wanted = trained;
CREATE INDEX spam_training_by_grant ON spam_training (grant_id);
CREATE TABLE spam_models (
    application_id {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    model {bytes} NOT NULL,
    updated_at {int} NOT NULL
) {strict};
CREATE TABLE spam_senders (
    grant_id {id} NOT NULL,
    address_key TEXT NOT NULL,
    kind {int} NOT NULL,
    moved_at {int} NOT NULL,
    PRIMARY KEY (grant_id, address_key)
) {clustered};
CREATE INDEX spam_senders_by_age ON spam_senders (moved_at);

-- What the messages and drafts of a thread add up to is kept with it, so that a list of threads reads no messages but the
-- latest of each: participants is a JSON list, folders a JSON object that says how many are in each. What only waits to be
-- sent is in none of it.
CREATE TABLE threads (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    subject TEXT NOT NULL,
    earliest_date {int} NOT NULL,
    received_date {int},
    sent_date {int},
    sort_date {int} NOT NULL,
    hops {int} NOT NULL DEFAULT 0,
    message_count {int} NOT NULL DEFAULT 0,
    draft_count {int} NOT NULL DEFAULT 0,
    unread_count {int} NOT NULL DEFAULT 0,
    starred_count {int} NOT NULL DEFAULT 0,
    file_count {int} NOT NULL DEFAULT 0,
    latest_date {int},
    latest_id {id},
    participants TEXT NOT NULL DEFAULT '[]',
    folders TEXT NOT NULL DEFAULT '{}'
) {clustered};
CREATE INDEX threads_by_grant ON threads (grant_id, sort_date, id);

-- How a reply finds its thread: 64-bit hashes of Message-IDs (and of sender plus subject, for the fallback).
CREATE TABLE thread_keys (
    grant_id {id} NOT NULL,
    key {int} NOT NULL,
    thread_id {id} NOT NULL,
    date {int} NOT NULL,
    PRIMARY KEY (grant_id, key, thread_id)
) {clustered};

-- With whom a mailbox exchanges mail: 64-bit hashes of addresses. A row is written with the first message, and changed once
-- at most: when the mailbox has written to them (written).
CREATE TABLE correspondents (
    grant_id {id} NOT NULL,
    key {int} NOT NULL,
    written {int} NOT NULL,
    PRIMARY KEY (grant_id, key)
) {clustered};

-- Sending ----------------------------------------------------------------------------------------------------------

-- The ledger of sends: what daily quotas count; and what each mailbox received on a day. told is the last line that was announced (1 warning, 2 reached,
-- 3 exceeded), told_limit the quota that it was a line of. said is what the mailbox said last to mailboxes of the fleet, and how
-- often in this hour.
CREATE TABLE daily_sends (
    grant_id {id} NOT NULL,
    day {int} NOT NULL,
    sent {int} NOT NULL,
    received {int} NOT NULL DEFAULT 0,
    told {int} NOT NULL DEFAULT 0,
    told_limit {int} NOT NULL DEFAULT 0,
    said TEXT,
    PRIMARY KEY (grant_id, day)
) {clustered};

-- What breakers count of a mailbox (JSON), and to whom it has written: only where its workspace has breakers that ask for it,
-- or a throttle holds.
CREATE TABLE watches (
    grant_id {id} NOT NULL PRIMARY KEY,
    state TEXT NOT NULL
) {clustered};
CREATE TABLE written_to (
    grant_id {id} NOT NULL,
    address_key TEXT NOT NULL,
    day {int} NOT NULL,
    PRIMARY KEY (grant_id, address_key)
) {clustered};
CREATE INDEX written_to_by_day ON written_to (day);

-- What organizations and applications (owner_id) use. A batch adds to these rows once, when it ends: see docs/adr/0028.
-- Months are counted from January of the year 0. What is kept is no month's, and stands under the month 0. Of what was
-- sent, sent_by_removed was sent by mailboxes that are gone, whose daily_sends are gone with them.
CREATE TABLE usage (
    owner_id {id} NOT NULL,
    month {int} NOT NULL,
    stored {int} NOT NULL,
    sent {int} NOT NULL,
    sent_by_removed {int} NOT NULL,
    octets_in {int} NOT NULL,
    octets_out {int} NOT NULL,
    PRIMARY KEY (owner_id, month)
) {clustered};

-- What organizations and applications (owner_id) had and kept when a month ended: read_at is a moment later.
CREATE TABLE readings (
    owner_id {id} NOT NULL,
    month {int} NOT NULL,
    accounts {int} NOT NULL,
    accounts_peak {int},
    stored {int} NOT NULL,
    read_at {int} NOT NULL,
    PRIMARY KEY (owner_id, month)
) {clustered};

-- What was sent and what came in, a row for each message and mailbox, of this month and the one before: the counters of
-- usage and daily_sends are counted anew from them. What came in for several mailboxes has its octets at the first of
-- them in the organization, and at the first in each application. A send that is given back has no row any more.
CREATE TABLE transfers (
    day {int} NOT NULL,
    organization_id {id} NOT NULL,
    message_id {id} NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    outgoing {int} NOT NULL,
    octets {int} NOT NULL,
    application_octets {int} NOT NULL,
    PRIMARY KEY (day, organization_id, message_id)
) {clustered};

-- Whom keys that may write to so many new recipients a day wrote to, and on which day first; and how many were new on a
-- day. The row of the day is the lock under which they are counted.
CREATE TABLE key_recipients (
    key_id {id} NOT NULL,
    address_key TEXT NOT NULL,
    day {int} NOT NULL,
    PRIMARY KEY (key_id, address_key)
) {clustered};
CREATE INDEX key_recipients_by_age ON key_recipients (day);
CREATE TABLE key_days (
    key_id {id} NOT NULL,
    day {int} NOT NULL,
    new_recipients {int} NOT NULL,
    PRIMARY KEY (key_id, day)
) {clustered};
CREATE INDEX key_days_by_age ON key_days (day);

-- What was refused when a mailbox wanted to send: counted by day and reason, with what was said the last time.
CREATE TABLE send_refusals (
    grant_id {id} NOT NULL,
    day {int} NOT NULL,
    code TEXT NOT NULL,
    times {int} NOT NULL,
    first_at {int} NOT NULL,
    last_at {int} NOT NULL,
    message TEXT NOT NULL,
    scope TEXT,
    limit_value {int},
    used {int},
    resets_at {int},
    key_id {id},
    PRIMARY KEY (grant_id, day, code)
) {clustered};
CREATE INDEX send_refusals_by_age ON send_refusals (day);

-- The times of the last sends of whoever has a rate, as many as there may be in a second: microseconds in eight octets
-- each, the earliest first. The scope is the number of core::rate::Scope: an organization, its sandboxes, a domain, a
-- mailbox or an API key; of an organization whose plan lets sends wait these are turns, and those that left have that number
-- and 8.
CREATE TABLE send_rates (
    scope {int} NOT NULL,
    subject_id {id} NOT NULL,
    times {bytes} NOT NULL,
    PRIMARY KEY (scope, subject_id)
) {clustered};

-- Pools of mailboxes to send from, their members with the domain of each, and which of them wrote last to whom.
CREATE TABLE sender_pools (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};
CREATE INDEX sender_pools_by_application ON sender_pools (application_id, id);

CREATE TABLE sender_pool_members (
    pool_id {id} NOT NULL REFERENCES sender_pools (id),
    grant_id {id} NOT NULL,
    domain TEXT NOT NULL,
    PRIMARY KEY (pool_id, grant_id)
) {clustered};
CREATE INDEX sender_pool_members_by_grant ON sender_pool_members (grant_id);

CREATE TABLE sender_pool_recipients (
    pool_id {id} NOT NULL,
    address_key TEXT NOT NULL,
    grant_id {id} NOT NULL,
    sent_at {int} NOT NULL,
    PRIMARY KEY (pool_id, address_key)
) {clustered};
CREATE INDEX sender_pool_recipients_by_age ON sender_pool_recipients (sent_at);

-- Sending domains that are being warmed up: from which cap to which, how many of its days have counted (stage, from 1 on),
-- and what was sent on the last UTC day on which something was. Above stage 28 the domain is warm.
CREATE TABLE warm_ups (
    domain_id {id} NOT NULL PRIMARY KEY REFERENCES domains (id),
    start_cap {int} NOT NULL,
    target {int} NOT NULL,
    stage {int} NOT NULL,
    day {int} NOT NULL,
    used {int} NOT NULL,
    started_at {int} NOT NULL
) {clustered};

-- Answers to requests under an idempotency key, known in a mailbox or an application. Of an accepted message (message_id)
-- the answer says where its copy was filed, and the rest is read from it; of anything else it is the body. An answer that
-- is kept for longer than most is dated later by as much.
CREATE TABLE idempotency_keys (
    scope_id {id} NOT NULL,
    key_hash {bytes} NOT NULL,
    request_hash {bytes} NOT NULL,
    request_id TEXT NOT NULL,
    status {int} NOT NULL,
    message_id {id},
    answer TEXT NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (scope_id, key_hash)
) {clustered};
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- What each mailbox has just sent, so that the same is not sent twice by mistake.
CREATE TABLE recent_sends (
    grant_id {id} NOT NULL,
    content_hash {bytes} NOT NULL,
    message_id {id} NOT NULL,
    thread_id {id} NOT NULL,
    suppressed TEXT NOT NULL,
    sent_at {int} NOT NULL,
    PRIMARY KEY (grant_id, content_hash)
) {clustered};
CREATE INDEX recent_sends_by_age ON recent_sends (sent_at);

-- A message on its way out, until its last recipient is settled. quota_day is null once the quota it took can no
-- longer be given back: a recipient's server has answered for it. With a route (HOST:PORT) it goes there, wherever its
-- recipients are. Approved is what somebody let out of a hold. Organization, workspace, thread and sender are those of the
-- moment at which it was accepted: what becomes of it counts for them.
CREATE TABLE outbound (
    message_id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    application_id {id} NOT NULL,
    blob_id {id} NOT NULL,
    reverse_path TEXT NOT NULL,
    signature {bytes},
    queued_at {int} NOT NULL,
    recipients_open {int} NOT NULL,
    quota_day {int},
    route TEXT,
    approved {int} NOT NULL DEFAULT 0,
    organization_id {id} NOT NULL,
    workspace_id {id},
    thread_id {id},
    sender TEXT NOT NULL
) {strict};
CREATE INDEX outbound_by_application ON outbound (application_id, message_id);

-- One recipient of one message. A leased row is due again when its lease ends; a paused row is never due. A parked row
-- waits behind its destination: it is claimed at the destination's turn, and until then nobody passes over it. A forced
-- row goes although its destination is left alone. Where parked is 2 the row waits behind a stop of its sender, which is
-- named then; when that is lifted it is released, in the order in which it was due. A row is ambiguous once a server may
-- have taken the message without saying so (RFC 1047), and answered once a server has answered for the recipient.
CREATE TABLE queue (
    id {id} NOT NULL PRIMARY KEY,
    message_id {id} NOT NULL,
    recipient TEXT NOT NULL,
    destination TEXT NOT NULL,
    priority {int} NOT NULL,
    due_at {int},
    attempts {int} NOT NULL,
    ambiguous {int} NOT NULL DEFAULT 0,
    answered {int} NOT NULL DEFAULT 0,
    parked {int} NOT NULL DEFAULT 0,
    paused {int} NOT NULL DEFAULT 0,
    forced {int} NOT NULL DEFAULT 0,
    lease {id},
    owner TEXT,
    last_reply TEXT,
    stop_id {id},
    trace {bytes}
) {strict};
CREATE INDEX queue_stopped ON queue (stop_id, due_at, id) WHERE parked = 2;
CREATE INDEX queue_due ON queue (priority, due_at, id) WHERE parked = 0;
CREATE INDEX queue_by_destination ON queue (destination, parked, priority, due_at, id);
CREATE INDEX queue_by_message ON queue (message_id);

-- A destination that is not simply open: it fails, has rows parked behind it, or somebody has paused or rerouted it.
-- At its turn some of its parked rows are claimed: one message while it fails. Without a turn there is nothing to claim.
CREATE TABLE destinations (
    name TEXT NOT NULL PRIMARY KEY,
    failures {int} NOT NULL DEFAULT 0,
    failing_since {int},
    failed_at {int},
    until {int},
    turn_at {int},
    paused {int} NOT NULL DEFAULT 0,
    route TEXT,
    last_reply TEXT,
    updated_at {int} NOT NULL
) {strict};
CREATE INDEX destinations_by_turn ON destinations (turn_at, name);

-- What was tried with a message at one server, and what was said to each recipient. Kept when the message has left the
-- queue, until it is pruned. Ids are in the order of time.
CREATE TABLE attempts (
    id {id} NOT NULL PRIMARY KEY,
    message_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    application_id {id} NOT NULL,
    destination TEXT NOT NULL,
    node TEXT NOT NULL,
    server TEXT NOT NULL,
    address TEXT NOT NULL,
    tls TEXT NOT NULL,
    duration {int} NOT NULL,
    answers TEXT NOT NULL
) {strict};
CREATE INDEX attempts_by_message ON attempts (message_id, id);

-- Sends that wait for their time, and for a while what became of them. The message is a draft until then; what is no
-- draft of the mailbox waits in the folder 'scheduled', which nobody sees. The status is pending, success, failed or
-- cancelled; due_at is send_at, or later if releasing is to be tried again. key_id is the key that scheduled it, or that
-- changed the message since: it is sent with that key.
CREATE TABLE schedules (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    application_id {id} NOT NULL,
    message_id {id} NOT NULL,
    use_draft {int} NOT NULL,
    send_at {int} NOT NULL,
    due_at {int} NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    created_at {int} NOT NULL,
    closed_at {int},
    key_id {id},
    burst {int} NOT NULL
) {strict};
CREATE INDEX schedules_by_grant ON schedules (grant_id, id);
CREATE INDEX schedules_pending ON schedules (grant_id) WHERE closed_at IS NULL;
CREATE INDEX schedules_of_message ON schedules (message_id) WHERE closed_at IS NULL;
CREATE INDEX schedules_due ON schedules (due_at, id) WHERE closed_at IS NULL;
CREATE INDEX schedules_closed ON schedules (closed_at) WHERE closed_at IS NOT NULL;

-- Sends that are held for their quota or for somebody to approve them, and for a while what became of them. The message
-- is a draft until then, in the folder 'scheduled' unless it is a draft of the mailbox (is_draft). Reason is quota, rule
-- or approval; state is waiting, approved, released, cancelled, rejected, expired or failed. Version is that of the policy
-- and the rules by which it is held or was approved; content is what a repeat is known by, digest what was approved.
-- Those that leave as soon as there is quota have due_at: when that is tried.
CREATE TABLE holds (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id} NOT NULL,
    application_id {id} NOT NULL,
    organization_id {id} NOT NULL,
    message_id {id} NOT NULL,
    is_draft {int} NOT NULL,
    blob_id {id} NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    recipients TEXT NOT NULL,
    content {bytes},
    version TEXT NOT NULL,
    digest {bytes},
    author_kind TEXT NOT NULL,
    author_id TEXT NOT NULL,
    editor_kind TEXT,
    editor_id TEXT,
    decided_kind TEXT,
    decided_id TEXT,
    decided_at {int},
    note TEXT,
    due_at {int},
    expires_at {int} NOT NULL,
    created_at {int} NOT NULL,
    closed_at {int}
) {strict};
CREATE INDEX holds_by_grant ON holds (grant_id, id);
CREATE INDEX holds_by_application ON holds (application_id, id);
CREATE INDEX holds_open ON holds (application_id, id) WHERE closed_at IS NULL;
CREATE INDEX holds_of_content ON holds (grant_id, content, id) WHERE closed_at IS NULL;
CREATE INDEX holds_of_message ON holds (message_id) WHERE closed_at IS NULL;
CREATE INDEX holds_due ON holds (due_at) WHERE closed_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX holds_in_order ON holds (grant_id, created_at, id) WHERE closed_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX holds_by_end ON holds (expires_at) WHERE closed_at IS NULL;
CREATE INDEX holds_closed ON holds (closed_at) WHERE closed_at IS NOT NULL;

-- Routes of outgoing mail --------------------------------------------------------------------------------------------

-- MTA-STS policies of other domains (RFC 8461), as they were served. A policy holds until expires_at; without one, the
-- text is empty and there is only what was last tried. It is fetched anew from time to time while it is used.
CREATE TABLE sts_policies (
    domain TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    fetched_at {int} NOT NULL,
    expires_at {int} NOT NULL,
    used_at {int} NOT NULL,
    tried_at {int} NOT NULL,
    tried_id TEXT NOT NULL,
    failure TEXT NOT NULL
) {strict};
CREATE INDEX sts_policies_by_try ON sts_policies (tried_at);

-- How encryption of connections to other servers went, counted by UTC day (RFC 8460). The key is a hash of what tells
-- the rows apart. Policy and mx_hosts are JSON lists; result is empty for what went well.
CREATE TABLE tls_sessions (
    key {bytes} NOT NULL PRIMARY KEY,
    day {int} NOT NULL,
    policy_domain TEXT NOT NULL,
    policy_type TEXT NOT NULL,
    policy TEXT NOT NULL,
    mx_hosts TEXT NOT NULL,
    result TEXT NOT NULL,
    sending_address TEXT NOT NULL,
    receiving_host TEXT NOT NULL,
    receiving_address TEXT NOT NULL,
    reason TEXT NOT NULL,
    sessions {int} NOT NULL
) {strict};
CREATE INDEX tls_sessions_by_day ON tls_sessions (day, policy_domain, key);

-- What is told the owners of domains about mail in their names (RFC 7489 §7.2), by UTC day and domain with a record. A
-- report is made once its due_at has come, which is null when it is over; state is waiting or what became of it. kinds are
-- its rows, left_out messages in none of them. The day's row counts its reports, and is locked where one begins.
CREATE TABLE dmarc_report_days (
    day {int} NOT NULL PRIMARY KEY,
    domains {int} NOT NULL
) {strict};

CREATE TABLE dmarc_reports (
    day {int} NOT NULL,
    policy_domain TEXT NOT NULL,
    kinds {int} NOT NULL,
    left_out {int} NOT NULL,
    due_at {int},
    state TEXT NOT NULL,
    PRIMARY KEY (day, policy_domain)
) {clustered};
CREATE INDEX dmarc_reports_due ON dmarc_reports (due_at);

-- Messages that are alike: what they have in common as JSON, the key a hash of that.
CREATE TABLE dmarc_report_rows (
    day {int} NOT NULL,
    policy_domain TEXT NOT NULL,
    key {bytes} NOT NULL,
    sighting TEXT NOT NULL,
    messages {int} NOT NULL,
    PRIMARY KEY (day, policy_domain, key)
) {clustered};

-- What comes back ------------------------------------------------------------------------------------------------

-- Every report about a message that was sent, believed or not: kind is bounce, complaint, auto_reply and so on, outcome
-- counted, noted, replayed, unmatched, unsigned, forged or expired. Mailbox and message are null where none could be
-- found. What is reported once more of the same message and recipient is recorded once more, and then no more.
CREATE TABLE feedback_reports (
    id {id} NOT NULL PRIMARY KEY,
    grant_id {id},
    message_id {id},
    report_id {id},
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    recipient TEXT NOT NULL,
    bounce_type TEXT,
    status TEXT NOT NULL,
    diagnostic TEXT NOT NULL,
    reporter TEXT NOT NULL,
    reported_at {int} NOT NULL
) {strict};
CREATE INDEX feedback_reports_by_grant ON feedback_reports (grant_id, id);
CREATE UNIQUE INDEX feedback_reports_once ON feedback_reports (message_id, recipient, kind, outcome);

-- What became of what was sent -----------------------------------------------------------------------------------

-- The ledger of outcomes: what happened to each recipient, in the order of time (the id says when). kind is 1 accepted,
-- 2 delivered, 3 bounced, 4 complaint, 5 rejected; bounce is the type of a failure, its class follows from it. late: it
-- was reported after the message had been taken. counted says as what it counts for the sender's reputation (0: nothing;
-- 1 attempt, 2 at a domain that sends feedback, 4 hard bounce, 8 complaint), number is its place among those of its mailbox
-- that count, in the order in which they were counted, from 1; 0 if it does not, or the mailbox was gone. The sender is
-- the mailbox's address, the workspace is that of the moment at which the message was accepted.
CREATE TABLE send_events (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    workspace_id {id},
    message_id {id} NOT NULL,
    thread_id {id},
    kind {int} NOT NULL,
    bounce TEXT,
    expired {int} NOT NULL,
    late {int} NOT NULL,
    counted {int} NOT NULL,
    number {int} NOT NULL,
    recipient TEXT NOT NULL,
    recipient_domain TEXT NOT NULL,
    sender TEXT NOT NULL,
    sender_domain TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL
) {clustered};
CREATE INDEX send_events_adverse ON send_events (grant_id, id) WHERE kind >= 3;
CREATE INDEX send_events_adverse_of_domain ON send_events (sender_domain, id) WHERE kind >= 3;
CREATE INDEX send_events_adverse_of_message ON send_events (message_id, id) WHERE kind >= 3;

-- Which rows of the ledger are whose: each has its application, its mailbox and its message. Written in bulk behind the
-- head of the sums, so that a send pays for the ledger alone; what is beyond the head is looked for in the ledger itself.
CREATE TABLE send_events_of (
    subject_id {id} NOT NULL,
    id {id} NOT NULL,
    PRIMARY KEY (subject_id, id)
) {clustered};

-- Where senders stand. kind is 0 grant, 1 domain, 2 workspace, 3 application, 4 organization; subject an id or the name of
-- a domain, with the application where it belongs to one. counts is the window, as core::reputation keeps it; state is
-- 0 healthy, 1 elevated, 2 under review, 3 paused; badness is 0 for healthy, and greater the worse it is.
CREATE TABLE reputation (
    kind {int} NOT NULL,
    subject TEXT NOT NULL,
    organization_id {id} NOT NULL,
    application_id {id},
    counts TEXT NOT NULL,
    state {int} NOT NULL,
    badness {int} NOT NULL,
    since {int} NOT NULL,
    PRIMARY KEY (kind, subject)
) {clustered};
CREATE INDEX reputation_by_application ON reputation (application_id, kind, badness, subject);

-- Sums of the ledger, by UTC day: dimension is 0 the application, 1 the domain of the sender, 2 its address, 3 the domain of
-- the recipient, or 4 the application by hours (period is then the number of the hour since 1970 instead of the day).
CREATE TABLE send_sums (
    application_id {id} NOT NULL,
    dimension {int} NOT NULL,
    period {int} NOT NULL,
    key TEXT NOT NULL,
    accepted {int} NOT NULL,
    delivered {int} NOT NULL,
    hard {int} NOT NULL,
    soft {int} NOT NULL,
    undetermined {int} NOT NULL,
    complaints {int} NOT NULL,
    rejected {int} NOT NULL,
    PRIMARY KEY (application_id, dimension, period, key)
) {clustered};
CREATE INDEX send_sums_by_age ON send_sums (dimension, period);

-- In which hour (its number since 1970) each address of an application sent last, as far as the ledger is summed up; those
-- that have not for two days are forgotten.
CREATE TABLE senders (
    application_id {id} NOT NULL,
    address TEXT NOT NULL,
    hour {int} NOT NULL,
    PRIMARY KEY (application_id, address)
) {clustered};
CREATE INDEX senders_lately ON senders (application_id, hour);
CREATE INDEX senders_by_age ON senders (hour);

-- Up to which row of the ledger the sums go, and the table of whose they are. Rows that are written behind it are added to
-- both by their writer.
CREATE TABLE send_sums_head (
    one {int} NOT NULL PRIMARY KEY CHECK (one = 1),
    last {id} NOT NULL
) {strict};
INSERT INTO send_sums_head (one, last) VALUES (1, {hex_id}('00000000000000000000000000000000'));

-- Lines that applications draw for the rates of what they send; threshold and value are millionths. A rule is looked at
-- when it is due; it fires while the rate is beyond the line, and triggered says how often that was told.
CREATE TABLE send_alert_rules (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    name TEXT NOT NULL,
    metric TEXT NOT NULL,
    threshold {int} NOT NULL,
    min_volume {int} NOT NULL,
    window_hours {int} NOT NULL,
    firing {int} NOT NULL,
    value {int},
    volume {int},
    evaluated_at {int},
    triggered_at {int},
    triggered {int} NOT NULL,
    due_at {int} NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {strict};
CREATE INDEX send_alert_rules_by_application ON send_alert_rules (application_id, id);
CREATE INDEX send_alert_rules_due ON send_alert_rules (due_at, id);

-- What messages are made of ----------------------------------------------------------------------------------------

-- Signatures of mailboxes; body is HTML that was made safe.
CREATE TABLE signatures (
    grant_id {id} NOT NULL,
    id {id} NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    PRIMARY KEY (grant_id, id)
) {clustered};

-- Templates, of one mailbox or, without a grant, of the application.
CREATE TABLE templates (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    grant_id {id},
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL
) {strict};
CREATE INDEX templates_of_application ON templates (application_id, id) WHERE grant_id IS NULL;
CREATE INDEX templates_of_grant ON templates (grant_id, id) WHERE grant_id IS NOT NULL;

-- Who is not written to --------------------------------------------------------------------------------------------

-- Addresses to which an application's mail does not go: reason is hard_bounce, complaint, unsubscribe, manual or invalid,
-- source who said so. The grant and the message are those that it came from. One that has expired says nothing.
CREATE TABLE suppressions (
    application_id {id} NOT NULL REFERENCES applications (id),
    address_key TEXT NOT NULL,
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    reason TEXT NOT NULL,
    source TEXT NOT NULL,
    note TEXT,
    grant_id {id},
    message_id {id},
    expires_at {int},
    created_at {int} NOT NULL,
    PRIMARY KEY (application_id, address_key)
) {clustered};
CREATE INDEX suppressions_by_time ON suppressions (application_id, created_at, address_key);
CREATE INDEX suppressions_by_reason ON suppressions (application_id, reason, created_at, address_key);
CREATE INDEX suppressions_by_domain ON suppressions (application_id, domain, created_at, address_key);
CREATE INDEX suppressions_by_domain_and_reason
    ON suppressions (application_id, domain, reason, created_at, address_key);
CREATE INDEX suppressions_by_end ON suppressions (expires_at) WHERE expires_at IS NOT NULL;

-- Whom an application asked by mail whether they want mail for a purpose, and what they said: kept as proof. State is pending,
-- confirmed, declined or withdrawn; that one has expired follows from the time, with which its id begins. Words are what
-- is agreed to. The source is what the application knows of who asked.
CREATE TABLE opt_ins (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    grant_id {id} NOT NULL,
    address_key TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT,
    purpose TEXT NOT NULL,
    purpose_hash {bytes} NOT NULL,
    language TEXT NOT NULL,
    words TEXT NOT NULL,
    message_id {id} NOT NULL,
    source_ip TEXT,
    source_user_agent TEXT,
    source_url TEXT,
    redirect_url TEXT,
    state TEXT NOT NULL,
    asked_at {int} NOT NULL,
    confirmed_at {int},
    confirmed_ip TEXT,
    confirmed_user_agent TEXT,
    declined_at {int},
    declined_ip TEXT,
    declined_user_agent TEXT,
    withdrawn_at {int}
) {strict};
CREATE INDEX opt_ins_by_application ON opt_ins (application_id, id);
CREATE INDEX opt_ins_pending_of_message ON opt_ins (message_id) WHERE state = 'pending';
CREATE INDEX opt_ins_by_state ON opt_ins (application_id, state, id);
CREATE INDEX opt_ins_by_purpose ON opt_ins (application_id, purpose_hash, id);
CREATE INDEX opt_ins_by_purpose_and_state ON opt_ins (application_id, purpose_hash, state, id);
CREATE INDEX opt_ins_by_address ON opt_ins (application_id, address_key, id);
CREATE INDEX opt_ins_by_address_and_purpose ON opt_ins (application_id, address_key, purpose_hash, id);

-- Stops ------------------------------------------------------------------------------------------------------------

-- What keeps somebody from sending, and what did. The subject is the key of an address, the name of a domain, or the text of
-- an id; the application, the workspace and the mailbox are those that it belongs to, where there is one. Value is of a
-- throttle. A stop that was lifted is swept once nothing waits in the queue behind it any more.
CREATE TABLE stops (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    application_id {id},
    workspace_id {id},
    grant_id {id},
    kind TEXT NOT NULL,
    effect TEXT NOT NULL,
    scope TEXT NOT NULL,
    subject TEXT NOT NULL,
    value {int},
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    reference TEXT,
    raised_kind TEXT NOT NULL,
    raised_id TEXT NOT NULL,
    raised_name TEXT NOT NULL,
    raised_at {int} NOT NULL,
    lifted_kind TEXT,
    lifted_id TEXT,
    lifted_name TEXT,
    lifted_at {int},
    lifted_why TEXT,
    swept {int} NOT NULL DEFAULT 0
) {strict};
CREATE UNIQUE INDEX stops_in_force ON stops (organization_id, subject, kind, scope) WHERE lifted_at IS NULL;
CREATE INDEX stops_of_organization ON stops (organization_id, id);
CREATE INDEX stops_active ON stops (organization_id, id) WHERE lifted_at IS NULL;
CREATE INDEX stops_active_anywhere ON stops (id) WHERE lifted_at IS NULL;
CREATE INDEX stops_of_grant ON stops (grant_id, id) WHERE grant_id IS NOT NULL;
CREATE INDEX stops_of_workspace ON stops (workspace_id, id) WHERE workspace_id IS NOT NULL;
CREATE INDEX stops_of_domains ON stops (id) WHERE kind = 'restriction' AND scope = 'domain';
CREATE INDEX stops_above ON stops (subject, id) WHERE kind = 'restriction' AND scope = 'domain' AND lifted_at IS NULL;
CREATE INDEX stops_to_sweep ON stops (lifted_at, id) WHERE lifted_at IS NOT NULL AND swept = 0;

-- How many are in force, and a number that grows with each that is raised or lifted. The second row is a lock: who
-- registers, removes or restricts a name of a domain has it, since a restriction reaches domains of other organizations.
CREATE TABLE stops_head (
    one {int} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    active {int} NOT NULL
) {strict};
INSERT INTO stops_head (one, version, active) VALUES (1, 0, 0), (2, 0, 0);

-- Cases in which somebody asks that a paused mailbox may send again. State is requested, granted, refused or withdrawn;
-- evidence and checks (code, passed, text) are JSON lists, and the checks those of checked_at.
CREATE TABLE recoveries (
    id {id} NOT NULL PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organizations (id),
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    email TEXT NOT NULL,
    stop_id {id} NOT NULL,
    paused_since {int} NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    fix TEXT NOT NULL,
    evidence TEXT NOT NULL,
    checks TEXT NOT NULL,
    checked_at {int} NOT NULL,
    requested_kind TEXT NOT NULL,
    requested_id TEXT NOT NULL,
    requested_name TEXT NOT NULL,
    decided_kind TEXT,
    decided_id TEXT,
    decided_name TEXT,
    decided_at {int},
    note TEXT,
    created_at {int} NOT NULL
) {strict};
CREATE INDEX recoveries_of_organization ON recoveries (organization_id, id);
CREATE INDEX recoveries_of_grant ON recoveries (grant_id, id);
CREATE INDEX recoveries_open ON recoveries (id) WHERE state = 'requested';
CREATE INDEX recoveries_open_of_organization ON recoveries (organization_id, id) WHERE state = 'requested';
CREATE UNIQUE INDEX recoveries_open_of_grant ON recoveries (grant_id) WHERE state = 'requested';

-- Raises -----------------------------------------------------------------------------------------------------------

-- Higher limits for a while. The target is a mailbox or a workspace (target_kind grant or workspace), value the limit
-- while it holds. State is requested, granted, refused or withdrawn; that one is over follows from the time.
CREATE TABLE raises (
    id {id} NOT NULL PRIMARY KEY,
    application_id {id} NOT NULL REFERENCES applications (id),
    target_kind TEXT NOT NULL,
    target_id {id} NOT NULL,
    limit_name TEXT NOT NULL,
    value {int} NOT NULL,
    starts_at {int} NOT NULL,
    ends_at {int} NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_by_kind TEXT NOT NULL,
    requested_by_id TEXT NOT NULL,
    requested_by_name TEXT NOT NULL,
    decided_by_kind TEXT,
    decided_by_id TEXT,
    decided_by_name TEXT,
    decided_at {int},
    note TEXT,
    created_at {int} NOT NULL
) {clustered};
CREATE INDEX raises_by_application ON raises (application_id, id);
CREATE INDEX raises_by_target ON raises (target_id, id);
CREATE INDEX raises_granted ON raises (target_id, limit_name, ends_at) WHERE state = 'granted';
CREATE INDEX raises_open ON raises (target_id, limit_name, ends_at) WHERE state = 'requested';

-- Being told -------------------------------------------------------------------------------------------------------

-- The event log. Positions have no gaps and become visible in order. Trace is where in a recorded trace the event happened,
-- as core::trace writes it.
CREATE TABLE events (
    position {int} NOT NULL PRIMARY KEY,
    id {id} NOT NULL,
    application_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    grant_sequence {int} NOT NULL,
    name TEXT NOT NULL,
    message_id {id},
    data TEXT NOT NULL,
    created_at {int} NOT NULL,
    trace {bytes}
) {strict};

CREATE INDEX events_by_application ON events (application_id, position);
CREATE INDEX events_by_grant ON events (grant_id, position);
-- Ids begin with their time, so that new ones come last.
CREATE INDEX events_by_id ON events (id);
CREATE INDEX events_of_reputation ON events (application_id, position) WHERE name = 'reputation.changed';

CREATE TABLE event_head (
    one {int} NOT NULL PRIMARY KEY,
    position {int} NOT NULL
) {strict};
INSERT INTO event_head (one, position) VALUES (1, 0);

-- Who is told. Channel is webhook, or, for people, chat (an incoming webhook that takes text) or email (the url is mailto:,
-- and from_grant_id the mailbox that sends it). With a workspace they are told of its mailboxes alone. The secret before the
-- last one signs beside it until previous_until. Filters are a JSON object of lists, or empty: of which mailboxes it is told.
-- Attempts is the number of the last row in webhook_attempts. One that rests (0: it does not) has taken nothing for a while,
-- and is tried with one event at that time. For failing_for microseconds nearly nothing was taken. One that has failed is asked
-- at ask_at whether it is back, unless auto_resume is 0, and said so at echoed_at. With a rate it is told so many events a second
-- at most; events of a mailbox wait for each other unless ordered is 0. The gap is what was removed before it was told of it:
-- gap_events events (0: none) that happened between gap_from and gap_to. What people are to be told of its status by mail is
-- notice, due at notice_at (0: nothing is).
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
    channel TEXT NOT NULL DEFAULT 'webhook',
    from_grant_id {id},
    workspace_id {id},
    include_junk {int} NOT NULL DEFAULT 0,
    rests_until {int} NOT NULL DEFAULT 0,
    previous_secret TEXT NOT NULL DEFAULT '',
    previous_until {int} NOT NULL DEFAULT 0,
    filters TEXT NOT NULL DEFAULT '',
    attempts {int} NOT NULL DEFAULT 0,
    failing_for {int} NOT NULL DEFAULT 0,
    auto_resume {int} NOT NULL DEFAULT 1,
    ask_at {int} NOT NULL DEFAULT 0,
    echoed_at {int} NOT NULL DEFAULT 0,
    notice TEXT NOT NULL DEFAULT '',
    notice_at {int} NOT NULL DEFAULT 0,
    rate {int},
    ordered {int} NOT NULL DEFAULT 1,
    gap_from {int} NOT NULL DEFAULT 0,
    gap_to {int} NOT NULL DEFAULT 0,
    gap_events {int} NOT NULL DEFAULT 0
) {clustered};
CREATE INDEX webhooks_failed ON webhooks (ask_at) WHERE status = 'failed' AND auto_resume = 1;
CREATE INDEX webhooks_with_notice ON webhooks (notice_at) WHERE notice_at > 0;
CREATE UNIQUE INDEX webhooks_by_url ON webhooks (application_id, url) WHERE channel = 'webhook';
CREATE INDEX webhooks_by_application ON webhooks (application_id, created_at, id);

-- The nodes that work for webhooks, each until it must have asked again: they share the webhooks evenly.
CREATE TABLE webhook_nodes (
    owner TEXT NOT NULL PRIMARY KEY,
    seen_until {int} NOT NULL
) {clustered};

-- Who else reads the log, one of each kind for the installation: bus (what is published to a message bus). Everything up to
-- position is told. It is worked for by the owner while the lease lasts; the fence is another number for each owner. Source
-- is which stream it was told to, as the bus names it: null until there was one. The gap is as that of a webhook.
CREATE TABLE readers (
    kind TEXT NOT NULL PRIMARY KEY,
    position {int} NOT NULL,
    owner TEXT NOT NULL,
    lease_until {int} NOT NULL,
    fence {int} NOT NULL,
    source {int},
    gap_from {int} NOT NULL DEFAULT 0,
    gap_to {int} NOT NULL DEFAULT 0,
    gap_events {int} NOT NULL DEFAULT 0
) {clustered};

-- Sends that came by the message bus and were refused, with what was published (body; null if it was too large) and why. Source
-- and sequence are their place in the bus, so that each is here once.
CREATE TABLE bus_parked (
    application_id {id} NOT NULL,
    id {id} NOT NULL,
    sender TEXT NOT NULL,
    source {int} NOT NULL,
    sequence {int} NOT NULL,
    request_key TEXT,
    status {int} NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT,
    retries {int} NOT NULL,
    octets {int} NOT NULL,
    parked_at {int} NOT NULL,
    body {bytes},
    PRIMARY KEY (application_id, id)
) {clustered};
CREATE UNIQUE INDEX bus_parked_by_place ON bus_parked (application_id, source, sequence);
CREATE INDEX bus_parked_by_age ON bus_parked (parked_at);

-- Rules by which events are given to subjects of the message bus beside the stream of all: the first one that matches, the
-- lowest priority first. Matching is the JSON of core::event_route::Matcher.
CREATE TABLE event_routes (
    application_id {id} NOT NULL,
    id {id} NOT NULL,
    name TEXT NOT NULL,
    priority {int} NOT NULL,
    enabled {int} NOT NULL,
    matching TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    PRIMARY KEY (application_id, id)
) {clustered};

-- Mailboxes of which a webhook did not take an event at once: that event, and all behind it waits for it. Everything before
-- it is told. Of an event that waits alone grant_id is no mailbox: core::readers::alone. Cause is a word of core::readers::Cause, or empty.
CREATE TABLE webhook_lanes (
    webhook_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    position {int} NOT NULL,
    attempts {int} NOT NULL,
    due_at {int} NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (webhook_id, grant_id)
) {clustered};
CREATE INDEX webhook_lanes_by_position ON webhook_lanes (webhook_id, position);

-- Events of which somebody is not told any more: the last attempt failed, or none could be made. Kept as long as the events.
CREATE TABLE webhook_given_up (
    webhook_id {id} NOT NULL,
    position {int} NOT NULL,
    attempts {int} NOT NULL,
    at {int} NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (webhook_id, position)
) {clustered};
CREATE INDEX webhook_given_up_by_position ON webhook_given_up (position);

-- Parts of the log that a webhook is told once more, beside what it is told as it happens: what is after the position and not
-- after the last one, of what asked_for says (a JSON object). Told and given_up count what came of it. State is running, done
-- or cancelled. What waits for another attempt is in webhook_lanes, under the id of the replay.
CREATE TABLE webhook_replays (
    id {id} NOT NULL PRIMARY KEY,
    webhook_id {id} NOT NULL,
    state TEXT NOT NULL,
    first_position {int} NOT NULL,
    last_position {int} NOT NULL,
    asked_for TEXT NOT NULL,
    position {int} NOT NULL,
    told {int} NOT NULL,
    given_up {int} NOT NULL,
    rests_until {int} NOT NULL,
    owner TEXT NOT NULL,
    lease_until {int} NOT NULL,
    created_at {int} NOT NULL,
    ended_at {int} NOT NULL
) {clustered};
CREATE INDEX webhook_replays_by_webhook ON webhook_replays (webhook_id, id);
CREATE INDEX webhook_replays_running ON webhook_replays (lease_until) WHERE state = 'running';

-- What was sent to webhooks and what came back, numbered for each of them. Those that are passing were taken, and are kept only until
-- as many others have come; the others for a while. Cause is a word of core::readers::Cause, or empty if it was taken; the status
-- is 0 if there was no answer. Header fields are JSON lists of pairs. Nothing in here is a secret.
CREATE TABLE webhook_attempts (
    webhook_id {id} NOT NULL,
    number {int} NOT NULL,
    event_id {id} NOT NULL,
    grant_id {id} NOT NULL,
    name TEXT NOT NULL,
    replay_id {id},
    at {int} NOT NULL,
    micros {int} NOT NULL,
    attempt {int} NOT NULL,
    status {int} NOT NULL,
    cause TEXT NOT NULL,
    is_taken {int} NOT NULL,
    is_passing {int} NOT NULL,
    url TEXT NOT NULL,
    request_headers TEXT NOT NULL,
    body_octets {int} NOT NULL,
    body_hash {bytes} NOT NULL,
    answer_headers TEXT NOT NULL,
    answer_body {bytes} NOT NULL,
    PRIMARY KEY (webhook_id, number)
) {strict};
CREATE INDEX webhook_attempts_by_event ON webhook_attempts (webhook_id, event_id, number);
CREATE INDEX webhook_attempts_by_outcome ON webhook_attempts (webhook_id, is_taken, number);
CREATE INDEX webhook_attempts_passing ON webhook_attempts (webhook_id, number) WHERE is_passing = 1;
CREATE INDEX webhook_attempts_by_time ON webhook_attempts (at);
