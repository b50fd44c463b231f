// A receiver of webhooks that verifies them with the `standardwebhooks` library.
//
//     webhook_receiver.js SECRET ...
//
// Listens at a loopback port, which is the first line that it writes. Each further line is a POST as JSON: its id and type, whether each
// of the secrets verifies it, whether X-Signature is that of each, and whether the library takes it when it is shown to it later, or
// altered. It ends with its standard input.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { Webhook, WebhookVerificationError } = require('standardwebhooks');

const secrets = process.argv.slice(2);

function takes(secret, body, headers) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

const anyTakes = (body, headers) => secrets.some((secret) => takes(secret, body, headers));

// Whether it is taken when it is shown again so much later.
function takenLater(body, headers, minutes) {
  const now = Date.now;
  Date.now = () => now() + minutes * 60_000;
  try {
    return anyTakes(body, headers);
  } finally {
    Date.now = now;
  }
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces).toString('utf8');
    const { headers } = request;
    const event = JSON.parse(body);
    const plain = (secret) => crypto.createHmac('sha256', secret).update(body).digest('hex');
    const verified = secrets.map((secret) => takes(secret, body, headers));
    const later = String(Number(headers['webhook-timestamp']) + 1);
    console.log(
      JSON.stringify({
        id: headers['webhook-id'],
        type: event.type,
        path: event.data.path,
        same_id: event.id === headers['webhook-id'],
        verified,
        plain: secrets.map((secret) => plain(secret) === headers['x-signature']),
        soon: takenLater(body, headers, 2),
        late: takenLater(body, headers, 6),
        altered: [
          anyTakes(body.replaceAll('completed', 'cancelled'), headers),
          anyTakes(`${body} `, headers),
          anyTakes(body, { ...headers, 'webhook-id': 'another' }),
          anyTakes(body, { ...headers, 'webhook-timestamp': later }),
        ],
      }),
    );
    response.writeHead(verified.includes(true) ? 204 : 401).end();
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
