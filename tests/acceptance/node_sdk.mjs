// What an agent does first, with the official Node SDK. Prints one JSON object; the test judges it.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, hook, phase, grantId] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 30 });

async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString('base64');
}

async function begin() {
  const settings = { email: 'node@agents.test' };
  const grant = (await nylas.auth.customAuthentication({ requestBody: { provider: 'nylas', settings } })).data;
  const requestBody = { triggerTypes: ['message.created', 'message.delivered'], webhookUrl: hook };
  const webhook = (await nylas.webhooks.create({ requestBody })).data;
  const webhooks = (await nylas.webhooks.list()).data;
  return { grant, webhook, webhooks };
}

async function work() {
  const identifier = grantId;
  const messages = [];
  let pages = 0;
  for await (const page of nylas.messages.list({ identifier, queryParams: { limit: 10, in: ['inbox'] } })) {
    pages += 1;
    messages.push(...page.data);
  }
  const limited = (await nylas.messages.list({ identifier, queryParams: { limit: 7 } })).data;
  const withFile = messages.find((message) => message.attachments.length > 0);
  const { id: messageId } = withFile;
  const attachmentId = withFile.attachments[0].id;
  const queryParams = { messageId };
  const attachment = (await nylas.attachments.find({ identifier, attachmentId, queryParams })).data;
  const bytes = await nylas.attachments.downloadBytes({ identifier, attachmentId, queryParams });
  const streamed = await text(await nylas.attachments.download({ identifier, attachmentId, queryParams }));
  const found = await nylas.messages.find({ identifier, messageId, queryParams: { fields: 'include_headers' } });
  const thread = (await nylas.threads.find({ identifier, threadId: withFile.threadId })).data;
  const folders = (await nylas.folders.list({ identifier })).data;
  const sent = (await nylas.messages.send({
    identifier,
    requestBody: {
      to: [{ name: 'Grace Höpper', email: 'grace@people.test' }],
      subject: `Re: ${withFile.subject}`,
      body: '<p>Grüße</p>',
      replyToMessageId: messageId,
      attachments: [{ filename: 'größe.txt', contentType: 'text/plain', content: Buffer.from('größe').toString('base64') }],
    },
  })).data;
  const refusals = [];
  for (const attempt of [
    () => nylas.messages.find({ identifier, messageId: 'nothing' }),
    () => nylas.messages.send({ identifier, requestBody: { to: [{ email: 'a@b.test' }], subject: 'a\r\nBcc: evil@people.test' } }),
    () => new Nylas({ apiKey: 'wrong', apiUri }).messages.list({ identifier }),
  ]) {
    try {
      await attempt();
      refusals.push(null);
    } catch (error) {
      refusals.push({ status: error.statusCode, type: error.type, message: error.message, requestId: error.requestId });
    }
  }
  const base64 = Buffer.from(bytes).toString('base64');
  return { messages, pages, limited, attachment, base64, streamed, found: found.data, requestId: found.requestId, thread, folders, sent, refusals };
}

console.log(JSON.stringify(await (phase === 'begin' ? begin : work)()));
