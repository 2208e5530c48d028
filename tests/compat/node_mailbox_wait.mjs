// Reads messages as they come with Node's own fetch: a new connection after each, which goes on behind the one before. Says
// "open" when it stands, and at the end prints the events as JSON.
//
// node node_mailbox_wait.mjs API KEY GRANT COUNT

const [api, key, grant, count] = process.argv.slice(2);
const events = [];
let last = '';

while (events.length < Number(count)) {
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream', ...(last && { 'last-event-id': last }) };
  const answer = await fetch(`${api}/v3/grants/${grant}/messages/stream?select=subject`, { headers, signal: stop.signal });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  reading: for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the stream ended');
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const fields = text.slice(0, end).split('\n').map((line) => [line.split(': ', 1)[0], line.slice(line.indexOf(': ') + 2)]);
      const event = Object.fromEntries(fields);
      if (last === '' && !events.length) console.log('open');
      last = event.id ?? last;
      if (!event.data) continue;
      events.push({ ...event, data: JSON.parse(event.data) });
      break reading;
    }
  }
  stop.abort();
}
console.log(JSON.stringify(events));
