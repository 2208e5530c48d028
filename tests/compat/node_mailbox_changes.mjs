// A message changed and deleted with the official Node SDK: does everything once, and prints what it saw as JSON.
//
// node node_mailbox_changes.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT MESSAGE

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier, messageId] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });

const status = (call) => call().then(() => 0, (error) => error.statusCode);
const update = async (requestBody) => (await nylas.messages.update({ identifier, messageId, requestBody })).data;

const metadata = { camelCase: 'x', key1: 'ü' };
const changed = await update({ starred: true, unread: false, folders: ['archive'], metadata });
const found = (await nylas.messages.find({ identifier, messageId })).data;
const kept = await update({ starred: false });
const pairs = await nylas.messages.list({ identifier, queryParams: { metadataPair: { key1: 'ü' } } });
const tooLong = await status(() => update({ metadata: { key: 'x'.repeat(501) } }));
const cleared = await update({ metadata: {} });
const trashed = (await nylas.messages.destroy({ identifier, messageId })).requestId;
const inTrash = (await nylas.messages.find({ identifier, messageId })).data.folders;
const purged = (await nylas.messages.destroy({ identifier, messageId })).requestId;
const gone = await status(() => nylas.messages.find({ identifier, messageId }));
const again = await status(() => nylas.messages.destroy({ identifier, messageId }));

const listed = pairs.data.map((one) => one.id);
console.log(JSON.stringify({ changed, found, kept, listed, tooLong, cleared, trashed, inTrash, purged, gone, again }));
