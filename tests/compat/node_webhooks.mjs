// Every method that the official Node SDK has for webhooks, with a receiver of its own; prints what came of each.
// The signature is checked as its documentation describes it, with what Node itself has.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';

const [folder, apiUri, apiKey, address] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 30 });

const came = [];
const server = createServer(async (request, response) => {
  const url = `http://receiver${request.url}`;
  if (request.method === 'GET') {
    response.end(nylas.webhooks.extractChallengeParameter(url));
    return;
  }
  const parts = [];
  for await (const part of request) parts.push(part);
  came.push({ headers: request.headers, body: Buffer.concat(parts) });
  response.end();
});
await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
const webhookUrl = `http://127.0.0.1:${server.address().port}/node`;

const isSigned = (secret, { headers, body }) => {
  const expected = Buffer.from(createHmac('sha256', secret).update(body).digest('hex'));
  const given = Buffer.from(headers['x-nylas-signature']);
  return expected.length === given.length && timingSafeEqual(expected, given);
};

const notification = async (number) => {
  for (let tries = 0; came.length < number && tries < 1_000; tries += 1) await new Promise((go) => setTimeout(go, 20));
  if (came.length < number) throw new Error(`${came.length} of ${number} notifications`);
  return came[number - 1];
};

const grant = (local) =>
  nylas.auth.customAuthentication({ requestBody: { provider: 'nylas', settings: { email: address.replace('@', `-${local}@`) } } });

const seen = {};
const requestBody = { triggerTypes: ['grant.created'], webhookUrl, description: 'Desk', compressedDelivery: true };
seen.requestBody = requestBody;
seen.made = (await nylas.webhooks.create({ requestBody })).data;
const webhookId = seen.made.id;
await grant('one');
const first = await notification(1);
seen.first = JSON.parse(gunzipSync(first.body));
seen.signed = [isSigned(seen.made.webhookSecret, first), isSigned('another', first)];
seen.found = (await nylas.webhooks.find({ webhookId })).data;
seen.listed = (await nylas.webhooks.list()).data;
seen.rotated = (await nylas.webhooks.rotateSecret({ webhookId })).data;
await grant('two');
const second = await notification(2);
seen.signedAnew = [isSigned(seen.rotated.webhookSecret, second), isSigned(seen.made.webhookSecret, second)];
seen.changed = (await nylas.webhooks.update({ webhookId, requestBody: { description: 'Later', status: 'pause' } })).data;
seen.addresses = (await nylas.webhooks.ipAddresses()).data;
seen.challenge = nylas.webhooks.extractChallengeParameter('https://a.test/x?b=c&challenge=d');
seen.removed = await nylas.webhooks.destroy({ webhookId });
try {
  await nylas.webhooks.find({ webhookId });
} catch (error) {
  seen.missing = { status: error.statusCode, type: error.type, requestId: error.requestId };
}
const methods = (object) => Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== 'constructor');
seen.methods = methods(nylas.webhooks);
server.close();
server.closeAllConnections();
console.log(JSON.stringify(seen));
