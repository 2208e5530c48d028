// Every way in which the official Node SDK sends, from a mailbox that may not; prints what each was told.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, identifier] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 30 });

const letter = { to: [{ email: 'someone@people.test' }], subject: 'Your ticket', body: 'Solved.' };
const draft = await nylas.drafts.create({ identifier, requestBody: letter });
const ways = {
  send: () => nylas.messages.send({ identifier, requestBody: letter }),
  draft: () => nylas.drafts.send({ identifier, draftId: draft.data.id }),
};
const told = {};
for (const [way, send] of Object.entries(ways)) {
  try {
    const sent = await send();
    told[way] = { sent: Boolean(sent.data.id) };
  } catch (error) {
    told[way] = { status: error.statusCode, type: error.type, message: error.message, requestId: error.requestId };
  }
}
console.log(JSON.stringify(told));
