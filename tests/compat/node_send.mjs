// Sends with the official Node SDK, one part of a plan per run. Prints what the SDK answered; the test judges it.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, planFile] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const nylas = new Nylas({ apiKey, apiUri, timeout: 60 });
const plan = JSON.parse(readFileSync(planFile, 'utf8'));
const identifier = plan.grant;

function content(path) {
  if (plan.how === 'stream') return createReadStream(path);
  return plan.how === 'buffer' ? readFileSync(path) : readFileSync(path).toString('base64');
}

async function everything() {
  const logo = Buffer.from(plan.logo, 'base64');
  const requestBody = {
    to: [{ name: plan.names.name, email: 'grace@people.test' }],
    cc: [{ email: 'cc@people.test' }],
    bcc: [{ email: 'hidden@people.test' }],
    replyTo: [{ name: 'Answers', email: 'answers@agents.test' }],
    subject: plan.names.subject,
    body: '<p>Hi <img src="cid:logo"></p>',
    customHeaders: [{ name: 'X-Campaign', value: 'Frühling' }],
    metadata: { key1: 'a', camelCaseKey: 'b' },
    trackingOptions: { opens: true, label: 'l' },
    attachments: [
      { filename: plan.names.filename, contentType: 'application/pdf', content: content(plan.file), size: statSync(plan.file).size },
      { filename: 'logo.png', contentType: 'image/png', content: logo, contentId: 'logo', size: logo.length },
    ],
  };
  return (await nylas.messages.send({ identifier, requestBody })).data;
}

async function answer() {
  let asked = [];
  for (let tries = 0; asked.length === 0 && tries < 200; tries += 1) {
    asked = (await nylas.messages.list({ identifier, queryParams: { in: ['inbox'] } })).data;
  }
  const requestBody = {
    to: asked[0].from, subject: `Re: ${asked[0].subject}`, body: 'Nine.', isPlaintext: true, replyToMessageId: asked[0].id,
  };
  const queryParams = { fields: 'include_headers' };
  const sent = (await nylas.messages.send({ identifier, requestBody, queryParams })).data;
  return { asked: asked[0], sent };
}

console.log(JSON.stringify(await { everything, answer }[plan.part]()));
