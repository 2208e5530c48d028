// Lists the newest messages of a mailbox out of PostgreSQL, as one would build it from the usual parts: a cluster of two
// workers, Node's own HTTP server, a pool of connections, one prepared statement, an index in the order of the list. Five
// columns of fifty rows, as objects. The key of the request is compared with the one that the environment names.
//
//   DATABASE_URL=postgres://... PORT=... API_KEY=... node lists.js

import cluster from 'node:cluster';
import http from 'node:http';
import pg from 'pg';

const WORKERS = 2;
const PATH = /^\/v3\/grants\/([0-9a-f-]{36})\/messages(?:\?|$)/;
const NEWEST = {
  name: 'newest',
  text: `SELECT id, sender, subject, date, unread FROM list WHERE mailbox_id = $1 ORDER BY date DESC, id DESC LIMIT 50`,
};

if (cluster.isPrimary) {
  for (let number = 0; number < WORKERS; number += 1) cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  serve(Number(process.env.PORT));
}

function serve(port) {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
  const expected = `Bearer ${process.env.API_KEY}`;
  const server = http.createServer((request, response) => {
    const [, mailbox] = PATH.exec(request.url) ?? [];
    if (request.headers.authorization !== expected) return answer(response, 401, { error: 'an API key is needed' });
    if (!mailbox) return answer(response, 404, { error: 'there is no such thing' });
    return pool
      .query({ ...NEWEST, values: [mailbox] })
      .then(({ rows }) => answer(response, 200, { data: rows }))
      .catch((error) => answer(response, 500, { error: String(error) }));
  });
  server.listen(port, '127.0.0.1');
  process.on('disconnect', () => process.exit(0));
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
