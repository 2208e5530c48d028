// Threads with the official Node SDK: does everything once, and prints what it saw as JSON.
//
// node node_mailbox_threads.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT WANTED

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier, wanted] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });
const { hours, last, first } = JSON.parse(wanted);

const ids = (page) => page.data.map((thread) => thread.id);
const list = async (queryParams) => ids(await nylas.threads.list({ identifier, queryParams }));
const status = (call) => call().then(() => 0, (error) => error.statusCode);

const paged = [];
for await (const page of nylas.threads.list({ identifier, queryParams: { limit: 1 } })) paged.push(...ids(page));

const lists = {
  all: await list({}),
  paged,
  subject: await list({ subject: 'OPENING' }),
  anyEmail: await list({ anyEmail: ['ada@people.test', 'bob@people.test'] }),
  from: await list({ from: ['bob@people.test'] }),
  to: await list({ to: ['erin@people.test'] }),
  cc: await list({ cc: ['carol@people.test'] }),
  bcc: await list({ bcc: ['dee@people.test'] }),
  in: await list({ in: ['inbox', 'junk'] }),
  unread: await list({ unread: true }),
  starred: await list({ starred: true }),
  threadId: await list({ threadId: hours }),
  latestMessageBefore: await list({ latestMessageBefore: last }),
  latestMessageAfter: await list({ latestMessageAfter: first }),
  hasAttachment: await list({ hasAttachment: true }),
  select: await list({ select: 'id,subject' }),
  searchQueryNative: await list({ searchQueryNative: 'opening -report' }),
};
const refused = await status(() => nylas.threads.list({ identifier, queryParams: { searchQueryNative: '(x' } }));
const found = (await nylas.threads.find({ identifier, threadId: hours })).data;
const requestBody = { starred: true, unread: false, folders: ['archive'] };
const changed = (await nylas.threads.update({ identifier, threadId: hours, requestBody })).data;
const removed = (await nylas.threads.destroy({ identifier, threadId: hours })).requestId;
const trashed = (await nylas.threads.find({ identifier, threadId: hours })).data;
console.log(JSON.stringify({ lists, refused, found, changed, removed, trashed }));
