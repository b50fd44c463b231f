// A session of npm's basic-ftp: port, `explicit` or `implicit`, the version of TLS, login, password, the CA's file and a folder
// to be made are the arguments. Ends with 0 if all is as it must be.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { Readable, Writable } = require("stream");
const { Client, FTPError } = require("basic-ftp");

function collect() {
  const pieces = [];
  const sink = new Writable({
    write(piece, _, done) {
      pieces.push(piece);
      done();
    },
  });
  return { sink, content: () => Buffer.concat(pieces) };
}

async function main() {
  const [port, way, version, user, password, ca, folder] = process.argv.slice(2);
  const client = new Client(20_000);
  await client.access({
    host: "localhost",
    port: Number(port),
    user,
    password,
    secure: way === "implicit" ? "implicit" : true,
    secureOptions: { ca: fs.readFileSync(ca), minVersion: version, maxVersion: version },
  });
  assert.strictEqual(client.ftp.socket.getProtocol(), version);
  assert.strictEqual(await client.pwd(), "/");
  await client.ensureDir(folder);
  assert.strictEqual(await client.pwd(), folder);
  const content = crypto.randomBytes(2_000_000);
  await client.uploadFrom(Readable.from([content]), "data.bin");
  assert.strictEqual(await client.size("data.bin"), content.length);
  const whole = collect();
  await client.downloadTo(whole.sink, "data.bin");
  assert(whole.content().equals(content));
  const rest = collect();
  await client.downloadTo(rest.sink, "data.bin", 1_500_000);
  assert(rest.content().equals(content.subarray(1_500_000)));
  await client.appendFrom(Readable.from([Buffer.from("tail")]), "data.bin");
  const listed = await client.list();
  assert.deepStrictEqual(listed.map((entry) => [entry.name, entry.size]), [["data.bin", content.length + 4]]);
  assert(Math.abs((await client.lastMod("data.bin")) - Date.now()) < 120_000);
  await client.rename("data.bin", "renamed.bin");
  await assert.rejects(client.size("data.bin"), (error) => error instanceof FTPError && error.code === 550);
  const local = fs.mkdtempSync(path.join(os.tmpdir(), "basic-ftp-"));
  fs.mkdirSync(path.join(local, "tree/sub"), { recursive: true });
  for (let n = 0; n < 20; n++) fs.writeFileSync(path.join(local, `tree/sub/f${n}`), String(n));
  await client.uploadFromDir(path.join(local, "tree"), `${folder}/tree`);
  await client.downloadToDir(path.join(local, "back"), `${folder}/tree`);
  assert.strictEqual(fs.readFileSync(path.join(local, "back/sub/f19"), "utf8"), "19");
  await client.uploadFromDir(path.join(local, "tree"), `${folder}/gone`);
  await client.removeDir(`${folder}/gone`);
  await client.send("NOOP");
  client.close();
  fs.rmSync(local, { recursive: true });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
