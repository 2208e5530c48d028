// Accepts messages for sending over HTTP and keeps them in PostgreSQL, as one would build it from the usual parts: a
// cluster of two workers, Node's own HTTP server, a pool of connections, prepared statements, nodemailer's composer.
// What is accepted is committed before it is answered. Nothing is delivered.
//
//   DATABASE_URL=postgres://... PORT=... node server.js

import cluster from 'node:cluster';
import http from 'node:http';
import { readSend } from './message.js';
import { Refusal, Sends } from './sends.js';

const WORKERS = 2;
const BODY_OCTETS_MAX = 3 << 20;
const PATH = /^\/v3\/grants\/([0-9a-f-]{36})\/messages\/send$/;

if (cluster.isPrimary) {
  for (let number = 0; number < WORKERS; number += 1) cluster.fork();
  cluster.on('exit', (worker, code) => {
    if (!worker.exitedAfterDisconnect) process.exit(code || 1);
  });
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  serve(Number(process.env.PORT));
}

function serve(port) {
  const sends = new Sends(process.env.DATABASE_URL);
  const server = http.createServer((request, response) => {
    accept(sends, request)
      .then((message) => answer(response, 200, message))
      .catch((error) => refuse(response, error));
  });
  server.listen(port, '127.0.0.1');
  process.on('disconnect', () => process.exit(0));
}

async function accept(sends, request) {
  const [, grantId] = PATH.exec(request.url) ?? [];
  if (!grantId || request.method !== 'POST') throw new Refusal(404, 'not_found', 'there is no such thing');
  const [scheme, key] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer' || !key) throw new Refusal(401, 'unauthorized', 'an API key is needed');
  const body = await read(request);
  const applicationId = await sends.application(key);
  return sends.accept(applicationId, grantId, readSend(body));
}

// By events: iterating over the request costs twice as much.
function read(request) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    let octets = 0;
    request.on('data', (piece) => {
      octets += piece.length;
      if (octets > BODY_OCTETS_MAX) reject(new Refusal(413, 'too_large', 'the request is too large'));
      else pieces.push(piece);
    });
    request.on('end', () => resolve(Buffer.concat(pieces)));
    request.on('error', reject);
  });
}

function refuse(response, error) {
  if (!(error instanceof Refusal)) console.error(error);
  const { status = 500, code = 'internal', message } = error instanceof Refusal ? error : {};
  answer(response, status, { error: { type: code, message: message ?? 'something went wrong' } });
}

function answer(response, status, content) {
  const text = JSON.stringify(status === 200 ? { data: content } : content);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}
