// Attachments with the official Node SDK: reads one in every way, and prints what it saw as JSON.
//
// node node_mailbox_attachments.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT MESSAGE ATTACHMENT

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier, messageId, attachmentId] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });

const status = (call) => call().then(() => 0, (error) => error.statusCode);
const whole = async (stream) => {
  const pieces = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString('base64');
};

const one = { identifier, attachmentId, queryParams: { messageId } };
const found = (await nylas.attachments.find(one)).data;
const download = await whole(await nylas.attachments.download(one));
const downloadBytes = (await nylas.attachments.downloadBytes(one)).toString('base64');
const downloadNodeStream = await whole(await nylas.attachments.downloadNodeStream(one));
const elsewhere = await status(() => nylas.attachments.find({ ...one, queryParams: { messageId: identifier } }));
const requestBody = { filename: 'a.pdf', contentType: 'application/pdf', size: 4 << 20 };
const uploads = [
  await status(() => nylas.attachments.createUploadSession({ identifier, requestBody })),
  await status(() => nylas.attachments.completeUploadSession({ identifier, attachmentId: '1' })),
];
console.log(JSON.stringify({ found, download, downloadBytes, downloadNodeStream, elsewhere, uploads }));
