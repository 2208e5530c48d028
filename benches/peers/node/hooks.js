// Tells webhooks what is in an outbox of PostgreSQL, as one would build it from the usual parts: Node's own HTTP client with
// connections that stay open, a pool of connections to the database, prepared statements. Rows are taken a hundred at a
// time, told, and removed in the same transaction when they were answered with success, so that each is told at least once.
// What is told was written by whoever put it there: nothing is rendered. It is signed, once, since nobody could believe it
// otherwise. It ends when nothing is left.
//
//   DATABASE_URL=postgres://... WEBHOOK_PORT=... node hooks.js

import { createHmac } from 'node:crypto';
import http from 'node:http';
import pg from 'pg';

const BATCH = 100;
const WORKERS = 4;
const AT_ONCE = 64;
const SECRET = 'a secret of the receiver and us';

const CLAIM = {
  name: 'claim',
  text: 'SELECT id, path, payload FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED',
  values: [BATCH],
};
const FORGET = { name: 'forget', text: 'DELETE FROM outbox WHERE id = ANY($1::bigint[])' };

const port = Number(process.env.WEBHOOK_PORT);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: WORKERS });
const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });

// Whether it was taken.
function post({ path, payload }) {
  return new Promise((resolve) => {
    const signature = createHmac('sha256', SECRET).update(payload).digest('hex');
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(payload),
      'X-Nylas-Signature': signature,
    };
    const request = http.request({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode >= 200 && response.statusCode < 300));
    });
    request.on('error', () => resolve(false));
    request.end(payload);
  });
}

// As many requests at once as a worker may have, one after the other where there are more rows.
async function tell(rows) {
  const told = [];
  let next = 0;
  const lane = async () => {
    while (next < rows.length) {
      const row = rows[next];
      next += 1;
      if (await post(row)) told.push(row.id);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE / WORKERS }, lane));
  return told;
}

async function work() {
  const client = await pool.connect();
  for (;;) {
    await client.query('BEGIN');
    const { rows } = await client.query(CLAIM);
    if (rows.length > 0) await client.query({ ...FORGET, values: [await tell(rows)] });
    await client.query('COMMIT');
    if (rows.length === 0) break;
  }
  client.release();
}

await Promise.all(Array.from({ length: WORKERS }, work));
await pool.end();
agent.destroy();
