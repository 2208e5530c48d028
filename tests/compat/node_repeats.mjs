// The same message sent twice by the official Node SDK, with a key in its header overrides. Prints one JSON object.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 30 });

const send = (subject) =>
  nylas.messages.send({
    identifier,
    requestBody: { to: [{ email: 'someone@people.test' }], subject, body: 'x' },
    overrides: { headers: { 'Idempotency-Key': 'node' } },
  });

function replayed(answer) {
  const headers = new Headers(answer.rawHeaders ?? answer.headers);
  // The SDK spells the names of header fields in its own way.
  return headers.get('idempotent-response') ?? headers.get('idempotentResponse');
}

const first = await send('One');
const again = await send('One');
let other = null;
try {
  await send('Two');
} catch (error) {
  other = { status: error.statusCode, type: error.type };
}
const shown = ({ data, requestId }) => ({ data, requestId });
console.log(JSON.stringify({ first: shown(first), again: shown(again), replayed: [replayed(first), replayed(again)], other }));
