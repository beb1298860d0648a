"""What nats-py, the Python client, says of a cluster of two servers: python second_opinion.py URL1 URL2."""

import asyncio
import sys

import nats
from nats.errors import NoRespondersError


async def interest(publisher, subscription, subject):
    """Publishes until the subscriber hears it, then drops what else is on its way."""
    for _ in range(500):
        await publisher.publish(subject, b"probe")
        await publisher.flush()
        try:
            await subscription.next_msg(timeout=0.02)
            break
        except nats.errors.TimeoutError:
            continue
    else:
        raise AssertionError(f"interest in {subject} never arrived")
    try:
        while True:
            await subscription.next_msg(timeout=0.1)
    except nats.errors.TimeoutError:
        pass


async def publish_and_subscribe(near, far):
    subscription = await far.subscribe("news.*")
    await interest(near, subscription, "news.probe")
    for number in range(500):
        await near.publish(f"news.{number}", str(number).encode())
    for number in range(500):
        message = await subscription.next_msg(timeout=5)
        assert (message.subject, message.data) == (f"news.{number}", str(number).encode())


async def headers_and_large_payloads(near, far):
    subscription = await far.subscribe("data")
    await interest(near, subscription, "data")
    payload = bytes(range(256)) * 4095
    await near.publish("data", payload, headers={"Color": "blue", "Empty": ""})
    message = await subscription.next_msg(timeout=10)
    assert message.data == payload
    assert message.headers["Color"] == "blue", message.headers


async def requests(near, far):
    try:
        await near.request("double", b"1", timeout=5)
        raise AssertionError("nobody should have responded")
    except NoRespondersError:
        pass

    async def double(message):
        await message.respond(str(2 * int(message.data)).encode())

    ready = await far.subscribe("ready")
    await far.subscribe("double", cb=double)
    await far.flush()
    second = await far.subscribe("ready.too")
    await interest(near, second, "ready.too")
    for number in range(100):
        answer = await near.request("double", str(number).encode(), timeout=5)
        assert int(answer.data) == 2 * number
    await ready.unsubscribe()


async def queue_groups(near, far):
    got = []
    for client in (near, far, far):

        async def take(message):
            got.append(int(message.data))

        await client.subscribe("jobs", queue="crew", cb=take)
    await far.flush()
    ready = await far.subscribe("queue.ready")
    await interest(near, ready, "queue.ready")
    for number in range(300):
        await near.publish("jobs", str(number).encode())
    await near.flush()
    for _ in range(100):
        if len(got) >= 300:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    assert sorted(got) == list(range(300)), f"{len(got)} of 300 jobs"


async def limits_and_drain(near, far):
    subscription = await near.subscribe("limited")
    await subscription.unsubscribe(limit=3)
    for number in range(5):
        await near.publish("limited", str(number).encode())
    await near.flush()
    for number in range(3):
        message = await subscription.next_msg(timeout=5)
        assert message.data == str(number).encode()
    got = []

    async def take(message):
        got.append(message.data)

    drained = await near.subscribe("drained", cb=take)
    for number in range(100):
        await near.publish("drained", str(number).encode())
    await near.flush()
    await drained.drain()
    for _ in range(100):
        if len(got) >= 100:
            break
        await asyncio.sleep(0.02)
    assert len(got) == 100, f"{len(got)} of 100 drained messages"


async def discovery(near, far):
    assert len(near.discovered_servers) + 1 >= 2, near.discovered_servers
    assert near.connected_server_version is not None
    assert near.max_payload == 1024 * 1024


async def main():
    near, far = await nats.connect(sys.argv[1]), await nats.connect(sys.argv[2])
    checks = [publish_and_subscribe, headers_and_large_payloads, requests, queue_groups, limits_and_drain, discovery]
    for check in checks:
        await asyncio.wait_for(check(near, far), 30)
        print(f"{check.__name__}: ok")
    await near.drain()
    await far.close()


asyncio.run(main())
