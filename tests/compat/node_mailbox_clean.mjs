// Cleaning messages with the official Node SDK: every documented parameter once, printed as JSON.
//
// node node_mailbox_clean.mjs FOLDER_WITH_NODE_MODULES API KEY GRANT MESSAGE

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier, id] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });

const clean = async (more) => {
  const answer = await nylas.messages.cleanMessages({ identifier, requestBody: { messageId: [id], ...more } });
  return { conversation: answer.data[0].conversation, id: answer.data[0].id, grantId: answer.data[0].grantId, requestId: answer.requestId };
};
const seen = {
  usual: await clean({}),
  links: await clean({ ignoreLinks: false }),
  images: await clean({ ignoreImages: false }),
  tags: await clean({ ignoreImages: false, imagesAsMarkdown: false }),
  tables: await clean({ ignoreTables: false }),
  conclusion: await clean({ removeConclusionPhrases: false }),
  markdown: await clean({ htmlAsMarkdown: true }),
};
const status = (call) => call.then(() => 0, (error) => error.statusCode);
const refused = [
  await status(clean({ htmlAsMarkdown: true, imagesAsMarkdown: false })),
  await status(clean({ messageId: Array(21).fill(id) })),
];
console.log(JSON.stringify({ seen, refused }));
