// What a client by WebSocket does, in Node and in a page alike. Prints a line for each thing that is as it should be.

export async function check({ connect, headers, url }, say) {
  const [near, far] = [await connect({ servers: url }), await connect({ servers: url })];
  await messagesComeInOrder(near, far);
  say("messages come in order: ok");
  await payloadsArriveUnchanged(near, far, headers);
  say("headers and payloads of all sizes arrive unchanged: ok");
  await requestsAreAnswered(near, far);
  say("requests are answered, or refused at once: ok");
  await groupsShareMessages(near, far);
  say("members of a queue group share messages: ok");
  await near.drain();
  await far.close();
  say("connections are drained and closed: ok");
}

async function messagesComeInOrder(near, far) {
  const subscription = far.subscribe("news.>");
  await far.flush();
  for (let number = 0; number < 1000; number++) {
    near.publish(`news.${number}`, String(number));
  }
  let expected = 0;
  for await (const message of subscription) {
    equal(message.string(), String(expected));
    equal(message.subject, `news.${expected}`);
    if (++expected === 1000) {
      break;
    }
  }
}

async function payloadsArriveUnchanged(near, far, headers) {
  const subscription = far.subscribe("data")[Symbol.asyncIterator]();
  await far.flush();
  for (const bytes of [0, 1, 63, 64, 5000, 70000, 1000000]) {
    const payload = new Uint8Array(bytes).map((_, place) => place % 251);
    const color = headers();
    color.append("Color", "blue");
    color.append("Color", "green");
    near.publish("data", payload, { headers: color });
    const { value } = await subscription.next();
    equal(value.data.length, bytes);
    equal(value.data.findIndex((byte, place) => byte !== payload[place]), -1);
    equal(value.headers.values("Color").join(), "blue,green");
  }
}

async function requestsAreAnswered(near, far) {
  far.subscribe("double", { callback: (_, message) => message.respond(String(2 * Number(message.string()))) });
  await far.flush();
  for (let number = 0; number < 20; number++) {
    equal((await near.request("double", String(number), { timeout: 5000 })).string(), String(2 * number));
  }
  const refused = await near.request("nobody", "", { timeout: 5000 }).then(() => "answered", (fault) => `${fault.code ?? fault.message}`);
  equal(/503|no responders/i.test(refused), true, refused);
}

async function groupsShareMessages(near, far) {
  let heard = 0;
  const count = () => heard++;
  for (const client of [near, far]) {
    client.subscribe("work", { queue: "crew", callback: count });
    await client.flush();
  }
  for (let number = 0; number < 100; number++) {
    near.publish("work", "");
  }
  await near.flush();
  await far.flush();
  equal(heard, 100);
}

function equal(found, expected, what = "") {
  if (found !== expected) {
    throw new Error(`${found} instead of ${expected} ${what}`);
  }
}
