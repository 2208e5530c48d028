// Drafts and sends at a later time with the official Node SDK: does everything once, and prints what it saw as JSON.
//
// node node_drafts.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });

const status = (call) => call().then(() => 0, (error) => error.statusCode);

const to = [{ email: 'ada@people.test', name: 'Ada' }];
const made = (await nylas.drafts.create({ identifier, requestBody: { to, subject: 'Node', body: '<p>Hi</p>', replyTo: to } })).data;
const draftId = made.id;
const found = (await nylas.drafts.find({ identifier, draftId })).data;
const listed = (await nylas.drafts.list({ identifier, queryParams: { subject: 'node', anyEmail: ['ada@people.test'] } })).data;
const content = Buffer.alloc(4 << 20, 7);
const attachments = [{ filename: 'big.bin', contentType: 'application/octet-stream', content, size: content.length }];
const changed = (await nylas.drafts.update({ identifier, draftId, requestBody: { subject: 'Node again', attachments } })).data;
const sent = (await nylas.drafts.send({ identifier, draftId })).data;
const twice = await status(() => nylas.drafts.send({ identifier, draftId }));

const other = (await nylas.drafts.create({ identifier, requestBody: {} })).data;
const removed = (await nylas.drafts.destroy({ identifier, draftId: other.id })).requestId;
const gone = await status(() => nylas.drafts.find({ identifier, draftId: other.id }));

const sendAt = Math.floor(Date.now() / 1000) + 3600;
const scheduled = (await nylas.messages.send({ identifier, requestBody: { to, subject: 'Later', body: 'x', sendAt } })).data;
const scheduleId = scheduled.scheduleId;
const schedules = (await nylas.messages.listScheduledMessages({ identifier })).data;
const pending = (await nylas.messages.findScheduledMessage({ identifier, scheduleId })).data;
const stopped = (await nylas.messages.stopScheduledMessage({ identifier, scheduleId })).data;
const cancelled = (await nylas.messages.findScheduledMessage({ identifier, scheduleId })).data;

const size = content.length;
const seen = { made, found, listed: listed.map((one) => one.id), changed, size, sent, twice, removed, gone };
console.log(JSON.stringify({ ...seen, sendAt, scheduled, schedules, pending, stopped, cancelled }));
