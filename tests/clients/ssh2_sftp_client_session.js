// A session of npm's ssh2-sftp-client: port, login and key file are the arguments. Ends with 0 if all is as it must be.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const Client = require("ssh2-sftp-client");

async function main() {
  const [port, username, key] = process.argv.slice(2);
  const sftp = new Client();
  await sftp.connect({ host: "127.0.0.1", port: Number(port), username, privateKey: fs.readFileSync(key) });
  assert.strictEqual(await sftp.cwd(), "/");
  await sftp.mkdir("/inbound/node/deeper", true);
  const content = crypto.randomBytes(2_000_000);
  await sftp.put(content, "/inbound/node/data.bin");
  assert((await sftp.get("/inbound/node/data.bin")).equals(content));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-"));
  await sftp.fastGet("/inbound/node/data.bin", path.join(folder, "fast"));
  assert(fs.readFileSync(path.join(folder, "fast")).equals(content));
  await sftp.fastPut(path.join(folder, "fast"), "/inbound/node/fast.bin");
  assert.strictEqual((await sftp.stat("/inbound/node/fast.bin")).size, content.length);
  await sftp.append(Buffer.from("more"), "/inbound/node/fast.bin");
  assert.strictEqual((await sftp.stat("/inbound/node/fast.bin")).size, content.length + 4);
  assert.strictEqual(await sftp.exists("/inbound/node/deeper"), "d");
  assert.strictEqual(await sftp.exists("/inbound/node/nothing"), false);
  await sftp.chmod("/inbound/node/fast.bin", 0o600);
  const listed = await sftp.list("/inbound/node");
  assert.deepStrictEqual(listed.map((entry) => entry.name).sort(), ["data.bin", "deeper", "fast.bin"]);
  assert.strictEqual(listed.find((entry) => entry.name === "fast.bin").rights.user, "rw");
  await sftp.rcopy("/inbound/node/data.bin", "/inbound/node/copy.bin");
  await assert.rejects(sftp.rename("/inbound/node/data.bin", "/inbound/node/copy.bin"));
  await sftp.posixRename("/inbound/node/copy.bin", "/inbound/node/fast.bin");
  await sftp.rename("/inbound/node/data.bin", "/inbound/node/renamed.bin");
  fs.mkdirSync(path.join(folder, "tree/sub"), { recursive: true });
  for (let n = 0; n < 20; n++) fs.writeFileSync(path.join(folder, `tree/sub/f${n}`), String(n));
  await sftp.uploadDir(path.join(folder, "tree"), "/inbound/node/tree");
  await sftp.downloadDir("/inbound/node/tree", path.join(folder, "back"));
  assert.strictEqual(fs.readFileSync(path.join(folder, "back/sub/f19"), "utf8"), "19");
  await sftp.rmdir("/inbound/node/tree", true);
  await sftp.delete("/inbound/node/fast.bin");
  await sftp.rmdir("/inbound/node/deeper");
  await sftp.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
