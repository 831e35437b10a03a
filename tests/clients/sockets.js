// graphql-transport-ws: subscribe, ping and resume with the client of graphql-ws, and the codes that a server closes with
// when a client does not keep to the protocol.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url] = process.argv.slice(2);
const PROTOCOL = 'graphql-transport-ws';
const shown = [];

// The first few events after a position, over a connection of their own.
async function events(after, wanted, watch = {}) {
  const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, ...watch });
  const query = 'subscription ($after: Position) { events(after: $after) { id position } }';
  const found = [];
  for await (const { data, errors } of client.iterate({ query, variables: { after } })) {
    assert.equal(errors, undefined);
    found.push(data.events);
    if (found.length === wanted) break;
  }
  await client.dispose();
  return found;
}

const whole = await events('0', 9);
assert.equal(new Set(whole.map((event) => event.id)).size, 9);
shown.push('subscribe');

// Left and taken up again after each event, it gives the same.
const pieces = [];
while (pieces.length < whole.length) {
  pieces.push(...(await events(pieces.at(-1)?.position ?? '0', Math.min(2, whole.length - pieces.length))));
}
assert.deepEqual(pieces, whole);
shown.push('resume');

// The client pings, and is answered before its patience ends.
const pongs = [];
await new Promise((resolve, reject) => {
  const client = createClient({
    url,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    keepAlive: 20,
    lazy: false,
    on: {
      pong: (received, payload) => {
        if (!received) return;
        pongs.push(payload);
        if (pongs.length === 2) resolve(client.dispose());
      },
      error: reject,
    },
  });
});
shown.push('ping');

// The code that a server closes with after these messages, each sent once the one before it was.
function closed(messages, protocol = PROTOCOL) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocol);
    socket.on('open', () => messages.forEach((message) => socket.send(message)));
    socket.on('close', (code) => resolve(code));
    socket.on('error', reject);
  });
}
const init = JSON.stringify({ type: 'connection_init' });
const query = 'subscription { events { id } }';
const subscribe = JSON.stringify({ id: '1', type: 'subscribe', payload: { query } });
for (const [messages, code] of [
  [['no JSON'], 4400],
  [[JSON.stringify({ type: 'nothing' })], 4400],
  [[subscribe], 4401],
  [[], 4408],
  [[init, subscribe, subscribe], 4409],
  [[init, init], 4429],
]) {
  assert.equal(await closed(messages), code, JSON.stringify(messages));
  shown.push(code);
}
console.log(JSON.stringify({ shown }));
