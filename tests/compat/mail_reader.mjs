// Reads messages with postal-mime, which shares no code with us or with Python: one JSON object for each file of a folder.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, folder, answer] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${modules}/`))('postal-mime');
const PostalMime = required.default ?? required;

const people = (list) => (list ?? []).flatMap((one) => one.group ?? [one]).map((one) => [one.name ?? '', one.address ?? '']);

async function read(name) {
  const mail = await PostalMime.parse(readFileSync(join(folder, name)));
  return {
    fields: mail.headers.map((header) => [header.key, header.value]),
    from: people(mail.from ? [mail.from] : []),
    to: people(mail.to),
    cc: people(mail.cc),
    bcc: people(mail.bcc),
    reply_to: people(mail.replyTo),
    subject: mail.subject ?? '',
    html: mail.html ?? null,
    text: mail.text ?? null,
    files: mail.attachments.map((file) => ({
      filename: file.filename ?? '',
      kind: file.mimeType,
      disposition: file.disposition,
      content_id: file.contentId ? file.contentId.replace(/^<|>$/g, '') : null,
      octets: Buffer.from(file.content).toString('base64'),
    })),
  };
}

const found = {};
for (const name of readdirSync(folder)) found[name] = await read(name);
writeFileSync(answer, JSON.stringify(found));
