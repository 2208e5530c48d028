// Accepting a message for sending: one transaction, in two round trips, as pipelining allows it.

import { createHash } from 'node:crypto';
import pg from 'pg';
import { newId } from './ids.js';
import { compose, contentHash, summarize } from './message.js';
import { Refusal } from './refusal.js';

export { Refusal };

const CONNECTIONS = 10;
const REPEAT_WINDOW_SECONDS = 120;
const KEY_CACHED_MS = 30_000;

const FIND_KEY = 'SELECT application_id FROM api_keys WHERE hash = $1';

// The row is the lock under which no other send of the grant is judged by the same count.
const COUNT = `INSERT INTO daily_sends (grant_id, day, sent)
  SELECT id, $3, 1 FROM grants WHERE id = $1 AND application_id = $2 AND daily_limit > 0
  ON CONFLICT (grant_id, day) DO UPDATE SET sent = daily_sends.sent + 1
  WHERE daily_sends.sent < (SELECT daily_limit FROM grants WHERE id = $1)
  RETURNING sent`;

const FIND = `SELECT g.email, g.name, g.domain, d.verified_at, r.message_id AS repeated, a.thread_id, a.header_id,
  ARRAY(SELECT s.address FROM suppressions s WHERE s.application_id = $2 AND s.address = ANY($3::text[])) AS suppressed
  FROM grants g
  LEFT JOIN domains d ON d.name = g.domain AND d.application_id = g.application_id
  LEFT JOIN recent_sends r ON r.grant_id = g.id AND r.content_hash = $4 AND r.sent_at > $5
  LEFT JOIN messages a ON a.grant_id = g.id AND a.id = $6
  WHERE g.id = $1 AND g.application_id = $2`;

const KEEP = `WITH thread AS (
    INSERT INTO threads (id, grant_id, subject, latest_at) VALUES ($3, $2, $8, $5)
    ON CONFLICT (id) DO UPDATE SET latest_at = excluded.latest_at
  ), message AS (
    INSERT INTO messages (id, grant_id, thread_id, date, outgoing, unread, folders, header_id, summary, raw)
    VALUES ($1, $2, $3, $5, true, false, '{sent}', $9, $10, $11)
  ), rows AS (
    INSERT INTO queue (id, message_id, recipient, destination, due_at)
    SELECT id, $1, recipient, destination, $5
    FROM unnest($12::uuid[], $13::text[], $14::text[]) AS one (id, recipient, destination)
  ), sent AS (
    INSERT INTO recent_sends (grant_id, content_hash, message_id, sent_at) VALUES ($2, $7, $1, $5)
    ON CONFLICT (grant_id, content_hash) DO UPDATE
    SET message_id = excluded.message_id, sent_at = excluded.sent_at
  )
  INSERT INTO events (application_id, grant_id, name, message_id, data, created_at)
  VALUES ($4, $2, 'message.created', $1, $6, $5)`;

export class Sends {
  constructor(url) {
    this.pool = new pg.Pool({ connectionString: url, max: CONNECTIONS, pipeline: true, idleTimeoutMillis: 0 });
    this.keys = new Map();
  }

  // The application that a key belongs to. Keys are known by their hashes, and for a while without asking.
  async application(key) {
    const hash = createHash('sha256').update(key).digest();
    const name = hash.toString('base64');
    const known = this.keys.get(name);
    if (known && known.until > Date.now()) return known.id;
    const { rows } = await this.pool.query({ name: 'find_key', text: FIND_KEY, values: [hash] });
    if (rows.length === 0) throw new Refusal(401, 'unauthorized', 'the API key is not known');
    this.keys.set(name, { id: rows[0].application_id, until: Date.now() + KEY_CACHED_MS });
    return rows[0].application_id;
  }

  async accept(applicationId, grantId, send) {
    const client = await this.pool.connect();
    try {
      const message = await this.transaction(client, applicationId, grantId, send);
      client.release();
      return message;
    } catch (error) {
      await client.query('ROLLBACK').then(() => client.release(), () => client.release(true));
      throw error;
    }
  }

  async transaction(client, applicationId, grantId, send) {
    const now = new Date();
    const hash = contentHash(send);
    const since = new Date(now.getTime() - REPEAT_WINDOW_SECONDS * 1000);
    const day = now.toISOString().slice(0, 10);
    const found = [grantId, applicationId, send.recipients, hash, since, send.answers];
    const [, counted, facts] = await Promise.all([
      client.query('BEGIN'),
      client.query({ name: 'count', text: COUNT, values: [grantId, applicationId, day] }),
      client.query({ name: 'find', text: FIND, values: found }),
    ]);
    const recipients = allowed(send, counted.rowCount > 0, facts.rows[0]);
    const { message, values } = await written(facts.rows[0], applicationId, grantId, send, { now, hash, recipients });
    const [, committed] = await Promise.all([
      client.query({ name: 'keep', text: KEEP, values }),
      client.query('COMMIT'),
    ]);
    if (committed.command !== 'COMMIT') throw new Error('the transaction was not committed');
    return message;
  }
}

// Who gets it, if it may be sent.
function allowed(send, isCounted, facts) {
  if (!facts) throw new Refusal(404, 'not_found', 'there is no such grant');
  if (facts.repeated) throw new Refusal(409, 'repeated', 'the same was sent a moment ago');
  if (!isCounted) throw new Refusal(429, 'quota', 'the daily limit is reached');
  if (!facts.verified_at) throw new Refusal(403, 'domain', 'the domain may not send');
  if (send.answers && !facts.thread_id) throw new Refusal(400, 'invalid_request', 'no such message is answered');
  const suppressed = new Set(facts.suppressed);
  const recipients = send.recipients.filter((address) => !suppressed.has(address));
  if (recipients.length === 0) throw new Refusal(400, 'suppressed', 'all recipients are suppressed');
  return recipients;
}

// The message as the caller sees it, and the values of its rows.
async function written(facts, applicationId, grantId, send, { now, hash, recipients }) {
  const time = now.getTime();
  const id = newId(time);
  const threadId = facts.thread_id ?? newId(time);
  const headerId = `${id}@${facts.domain}`;
  const from = { name: facts.name, email: facts.email };
  const raw = await compose(send, from, headerId, now, facts.header_id);
  const summary = summarize(send, from);
  const message = {
    id,
    object: 'message',
    grant_id: grantId,
    thread_id: threadId,
    ...summary,
    body: send.body,
    date: Math.floor(time / 1000),
    created_at: Math.floor(time / 1000),
    unread: false,
    starred: false,
    folders: ['sent'],
    attachments: [],
    in_reply_to: facts.header_id ?? null,
    message_id_header: headerId,
    direction: 'outbound',
    suppressed_recipients: facts.suppressed,
  };
  const values = [
    id, grantId, threadId, applicationId, now, '{}', hash, send.subject, headerId, JSON.stringify(summary), raw,
    recipients.map(() => newId(time)), recipients, recipients.map((address) => address.split('@')[1]),
  ];
  return { message, values };
}
