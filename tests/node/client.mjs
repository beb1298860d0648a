// nats.js by the WebSocket of Node: client.mjs <where packages are> <URL>

import { createRequire } from "node:module";
import { check } from "./checks.mjs";

const [packages, url] = process.argv.slice(2);
const { headers, wsconnect } = createRequire(`${packages}/`)("@nats-io/nats-core");
await check({ connect: wsconnect, headers, url }, console.log);
process.exit(0);
