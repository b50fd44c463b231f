// Uploads by tus-js-client (tus 1.0.0): with and without data at the creation, aborted and resumed, terminated, refused.
//
//     tus_js_session.js BASE_URL API_KEY
//
// The CA stands in NODE_EXTRA_CA_CERTS.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');
const tus = require('tus-js-client');

const [base, key] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const content = crypto.randomBytes(3_000_000);
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

async function hashAt(path) {
  const response = await fetch(`${base}/api/v1/files/content?path=${encodeURIComponent(path)}`, { headers });
  assert.strictEqual(response.status, 200, await response.clone().text().catch(() => ''));
  return sha256(Buffer.from(await response.arrayBuffer()));
}

function upload(body, options) {
  let fileId;
  return new Promise((resolve, reject) => {
    const one = new tus.Upload(body, {
      endpoint: `${base}/api/v1/tus`,
      headers,
      retryDelays: null,
      onAfterResponse: (request, response) => {
        fileId = response.getHeader('X-File-Id') || fileId;
      },
      onError: reject,
      onSuccess: () => resolve({ url: one.url, fileId }),
      ...options,
    });
    one.start();
  });
}

async function main() {
  // One request, then chunks, then data with the creation.
  for (const [name, more] of Object.entries({
    whole: {},
    chunks: { chunkSize: 400_000 },
    created: { uploadDataDuringCreation: true },
    both: { uploadDataDuringCreation: true, chunkSize: 700_000 },
  })) {
    const metadata = { filename: `${name}.bin`, filetype: 'application/x-test' };
    const { fileId } = await upload(content, { metadata, ...more });
    const found = await (await fetch(`${base}/api/v1/files/${fileId}`, { headers })).json();
    assert.strictEqual(found.hash, sha256(content), name);
    assert.strictEqual(found.path, `/${name}.bin`);
    assert.strictEqual(found.content_type, 'application/x-test');
    assert.strictEqual(await hashAt(`/${name}.bin`), sha256(content));
  }

  // Aborted in the middle, resumed by another object that knows the address alone.
  const stopped = await new Promise((resolve, reject) => {
    const one = new tus.Upload(content, {
      endpoint: `${base}/api/v1/tus`,
      headers,
      chunkSize: 250_000,
      metadata: { path: '/aborted.bin' },
      onError: reject,
      onChunkComplete: async (size, accepted) => {
        if (accepted >= 1_000_000) {
          await one.abort();
          resolve(one.url);
        }
      },
    });
    one.start();
  });
  const offset = Number(
    (await fetch(stopped, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })).headers.get('upload-offset'),
  );
  assert.ok(offset >= 1_000_000 && offset < content.length, `${offset}`);
  await upload(content, { uploadUrl: stopped });
  assert.strictEqual(await hashAt('/aborted.bin'), sha256(content));

  // Terminated.
  const gone = await new Promise((resolve, reject) => {
    const one = new tus.Upload(content, {
      endpoint: `${base}/api/v1/tus`,
      headers,
      chunkSize: 250_000,
      metadata: { filename: 'terminated.bin' },
      onError: reject,
      onChunkComplete: async () => {
        await one.abort(true);
        resolve(one.url);
      },
    });
    one.start();
  });
  const head = await fetch(gone, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } });
  assert.strictEqual(head.status, 404);

  // A name that is taken.
  await assert.rejects(upload(content, { metadata: { filename: 'whole.bin' } }), (error) => {
    assert.strictEqual(error.originalResponse.getStatus(), 409);
    return true;
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
