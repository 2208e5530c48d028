// From the fields of a request to a message: reads and checks them, tells what makes two messages the same, composes.

import { createHash } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer';
import { Refusal } from './refusal.js';

const RECIPIENTS_MAX = 50;
const ADDRESS = /^[^\s@<>]{1,64}@([^\s@<>]{1,253})$/;
const SNIPPET_CHARACTERS = 100;

// The fields of a send, checked.
export function readSend(octets) {
  const fields = parse(octets);
  const send = {
    to: people(fields, 'to'),
    cc: people(fields, 'cc'),
    bcc: people(fields, 'bcc'),
    replyTo: people(fields, 'reply_to'),
    subject: text(fields, 'subject'),
    body: text(fields, 'body'),
    isPlain: fields.is_plaintext === true,
    headers: headers(fields),
    answers: fields.reply_to_message_id ?? null,
  };
  send.recipients = [...new Set([...send.to, ...send.cc, ...send.bcc].map((person) => person.email.toLowerCase()))];
  if (send.recipients.length === 0) throw invalid('to must name at least one recipient');
  if (send.recipients.length > RECIPIENTS_MAX) throw invalid(`at most ${RECIPIENTS_MAX} recipients`);
  return send;
}

function parse(octets) {
  let fields;
  try {
    fields = JSON.parse(octets);
  } catch {
    throw invalid('the body is not JSON');
  }
  if (fields === null || typeof fields !== 'object') throw invalid('the body must be an object');
  return fields;
}

function people(fields, name) {
  const list = fields[name] ?? [];
  if (!Array.isArray(list)) throw invalid(`${name} must be a list`);
  return list.map((person) => {
    if (typeof person?.email !== 'string' || !ADDRESS.test(person.email)) throw invalid(`${name} has a bad address`);
    return { name: String(person.name ?? ''), email: person.email };
  });
}

function text(fields, name) {
  const value = fields[name] ?? '';
  if (typeof value !== 'string') throw invalid(`${name} must be text`);
  return value;
}

function headers(fields) {
  const list = fields.custom_headers ?? [];
  if (!Array.isArray(list)) throw invalid('custom_headers must be a list');
  return list.map(({ name, value }) => ({ key: String(name), value: String(value) }));
}

function invalid(why) {
  return new Refusal(400, 'invalid_request', why);
}

// A hash of what a message says and to whom.
export function contentHash(send) {
  const { to, cc, bcc, replyTo, subject, body, isPlain, headers: fields, answers } = send;
  return createHash('sha256').update(JSON.stringify([to, cc, bcc, replyTo, subject, body, isPlain, fields, answers])).digest();
}

// The message as it leaves. It has no Bcc field.
export function compose(send, from, headerId, date, answered) {
  const mail = {
    from: mailbox(from),
    to: send.to.map(mailbox),
    cc: send.cc.map(mailbox),
    replyTo: send.replyTo.map(mailbox),
    subject: send.subject,
    [send.isPlain ? 'text' : 'html']: send.body,
    headers: send.headers,
    messageId: `<${headerId}>`,
    date,
    newline: '\r\n',
  };
  if (answered) mail.inReplyTo = mail.references = `<${answered}>`;
  return new MailComposer(mail).compile().build();
}

function mailbox({ name, email }) {
  return { name, address: email };
}

// What lists show of it.
export function summarize(send, from) {
  const plain = send.isPlain ? send.body : send.body.replace(/<[^>]*>/g, ' ');
  const snippet = plain.slice(0, SNIPPET_CHARACTERS * 4).replace(/\s+/g, ' ').trim().slice(0, SNIPPET_CHARACTERS);
  const { to, cc, bcc, replyTo, subject } = send;
  return { subject, from: [from], to, cc, bcc, reply_to: replyTo, snippet };
}
