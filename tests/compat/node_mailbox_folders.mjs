// Folders with the official Node SDK: does everything once, and prints what it saw as JSON.
//
// node node_mailbox_folders.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });

const status = (call) => call().then(() => 0, (error) => error.statusCode);
const look = { parentId: 'inbox', textColor: '#000000', backgroundColor: '#ffffff' };

const made = (await nylas.folders.create({ identifier, requestBody: { name: 'Kunden', ...look } })).data;
const folderId = made.id;
const found = (await nylas.folders.find({ identifier, folderId, queryParams: { includeHiddenFolders: true } })).data;
const renamed = (await nylas.folders.update({ identifier, folderId, requestBody: { name: 'Clients', ...look } })).data;
const query = { parentId: 'inbox', includeHiddenFolders: true, singleLevel: true, limit: 50 };
const listed = (await nylas.folders.list({ identifier, queryParams: query })).data.map((one) => one.name);
const paged = [];
for await (const page of nylas.folders.list({ identifier, queryParams: { limit: 3 } })) {
  paged.push(...page.data.map((one) => one.name));
}
const selected = (await nylas.folders.find({ identifier, folderId, queryParams: { select: 'id' } })).data;
const taken = await status(() => nylas.folders.create({ identifier, requestBody: { name: 'CLIENTS' } }));
const system = await status(() => nylas.folders.destroy({ identifier, folderId: 'inbox' }));
const removed = (await nylas.folders.destroy({ identifier, folderId })).requestId;
const gone = await status(() => nylas.folders.find({ identifier, folderId }));

console.log(JSON.stringify({ made, found, renamed, listed, paged, selected, taken, system, removed, gone }));
