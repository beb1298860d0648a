// A page in headless Chromium that connects, subscribes and publishes: browser.mjs <where packages are> <URL> <URL of a server
// that wants pages to be from where they connect to>

import { spawn, spawnSync } from "node:child_process";
import { createReadStream, createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { brotliDecompressSync, createBrotliDecompress } from "node:zlib";

const [packages, url, strict] = process.argv.slice(2);
const modules = join(packages, "node_modules");
const packed = join(modules, "@sparticuz", "chromium", "bin");

const PAGE = `<!doctype html><script type="module">
import { connect, headers } from "/nats.js";
import { check } from "/checks.mjs";
const say = (line) => fetch("/said", { method: "POST", body: line });
try {
  await check({ connect, headers, url: ${JSON.stringify(url)} }, say);
  const refused = await connect({ servers: ${JSON.stringify(strict)}, reconnect: false, timeout: 5000 }).then(() => false, () => true);
  await say(refused ? "a page from elsewhere is refused: ok" : "a page from elsewhere came in");
  await say("done");
} catch (fault) {
  await say("failed: " + fault.stack);
}
</script>`;

const FILES = {
  "/": [PAGE, "text/html"],
  "/nats.js": [readFileSync(join(modules, "nats.ws", "esm", "nats.js")), "text/javascript"],
  "/checks.mjs": [readFileSync(new URL("checks.mjs", import.meta.url)), "text/javascript"],
};

/** The browser, unpacked where its package lies, once. */
async function browser() {
  const unpacked = join(packages, "chromium");
  if (!existsSync(unpacked)) {
    const part = `${unpacked}.${process.pid}`;
    const source = createReadStream(join(packed, "chromium.br"));
    await pipeline(source, createBrotliDecompress(), createWriteStream(part, { mode: 0o755 }));
    renameSync(part, unpacked);
  }
  return unpacked;
}

/** Where those libraries are that the system lacks. */
function environment(browser) {
  if (!String(spawnSync("ldd", [browser]).stdout).includes("not found")) {
    return process.env;
  }
  const unpacked = join(packages, "libraries");
  if (!existsSync(unpacked)) {
    const part = `${unpacked}.${process.pid}`;
    mkdirSync(part);
    spawnSync("tar", ["-x", "-C", part], { input: brotliDecompressSync(readFileSync(join(packed, "al2023.tar.br"))) });
    renameSync(part, unpacked);
  }
  return { ...process.env, LD_LIBRARY_PATH: join(unpacked, "lib") };
}

const { promise: done, resolve: end } = Promise.withResolvers();
const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    const line = (await request.toArray()).join("");
    console.log(line);
    response.end();
    if (line === "done" || line.startsWith("failed")) {
      end(line === "done");
    }
    return;
  }
  const [body, type] = FILES[request.url] ?? ["", "text/plain"];
  response.writeHead(200, { "Content-Type": type }).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const profile = mkdtempSync(join(tmpdir(), "onehop-browser-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-zygote", "--remote-debugging-port=0"];
const page = `http://127.0.0.1:${server.address().port}/`;
const program = await browser();
const chromium = spawn(program, [...flags, `--user-data-dir=${profile}`, page], {
  env: environment(program),
  stdio: ["ignore", "ignore", "pipe"],
});
let complaint = "";
chromium.stderr.on("data", (text) => (complaint += text));
chromium.on("exit", () => end(false));
const timer = setTimeout(() => end(false), 60_000);
const isGood = await done;
clearTimeout(timer);
chromium.removeAllListeners("exit");
chromium.kill("SIGKILL");
await new Promise((resolve) => chromium.once("close", resolve));
rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
if (!isGood) {
  console.error(complaint);
}
process.exit(isGood ? 0 : 1);
