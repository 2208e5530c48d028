// Lists of messages with the official Node SDK: asks with every parameter once, and prints what it saw as JSON.
//
// node node_mailbox_lists.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT WANTED

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier, wanted] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });
const { thread, date, own } = JSON.parse(wanted);

const ids = (page) => page.data.map((message) => message.id);
const list = async (queryParams) => ids(await nylas.messages.list({ identifier, queryParams }));
const status = (call) => call().then(() => 0, (error) => error.statusCode);

const paged = [];
for await (const page of nylas.messages.list({ identifier, queryParams: { limit: 3 } })) paged.push(...ids(page));

const lists = {
  paged,
  subject: await list({ subject: 'INVOICE' }),
  anyEmail: await list({ anyEmail: ['erik@people.test', 'bob@people.test'] }),
  to: await list({ to: ['dora@people.test'] }),
  from: await list({ from: ['ada@people.test'] }),
  cc: await list({ cc: ['carol@people.test'] }),
  bcc: await list({ bcc: ['erik@people.test'] }),
  in: await list({ in: ['sent'] }),
  unread: await list({ unread: true }),
  starred: await list({ starred: true }),
  threadId: await list({ threadId: thread }),
  receivedBefore: await list({ receivedBefore: date }),
  receivedAfter: await list({ receivedAfter: date - 1 }),
  hasAttachment: await list({ hasAttachment: true }),
  metadataPair: await list({ metadataPair: { key2: 'x' } }),
  searchQueryNative: await list({ searchQueryNative: 'invoice -8' }),
};
const forms = {};
for (const fields of ['standard', 'include_headers', 'include_basic_headers', 'include_tracking_options', 'raw_mime']) {
  forms[fields] = (await nylas.messages.find({ identifier, messageId: own, queryParams: { fields } })).data;
}
const selected = { limit: 1, select: 'id,subject' };
[forms.selected] = (await nylas.messages.list({ identifier, queryParams: selected })).data;
const refused = await status(() => nylas.messages.list({ identifier, queryParams: { searchQueryNative: '(x' } }));
const prompt = { identifier, requestBody: { prompt: 'Say yes' } };
const composed = [
  await status(() => nylas.messages.smartCompose.composeMessage(prompt)),
  await status(() => nylas.messages.smartCompose.composeMessageReply({ ...prompt, messageId: own })),
];
console.log(JSON.stringify({ lists, forms, refused, composed }));
