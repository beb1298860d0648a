"""What nats-py, the Python client, says of users with keys, passwords and permissions: python users.py URL SEED OTHER_SEED."""

import asyncio
import sys
import tempfile

import nats
from nats.errors import Error, NoServersError, TimeoutError


async def connect(url, complaints=None, **credentials):
    async def complain(error):
        if complaints is not None:
            complaints.append(str(error).lower())

    return await nats.connect(url, error_cb=complain, allow_reconnect=False, connect_timeout=5, **credentials)


async def first(complaints):
    for _ in range(250):
        if complaints:
            return complaints[0]
        await asyncio.sleep(0.02)
    raise AssertionError("nobody complained")


async def with_a_key(url, seed, _):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(seed)
        file.flush()
        client = await connect(url, nkeys_seed=file.name)
    subscription = await client.subscribe("orders.new")
    await client.publish("orders.new", b"1")
    message = await subscription.next_msg(timeout=5)
    assert message.data == b"1"
    await client.close()


async def refused(url, **credentials):
    try:
        client = await connect(url, **credentials)
    except (Error, NoServersError, OSError) as error:
        return str(error).lower()
    raise AssertionError(f"{client} came in")


async def with_nothing_good(url, _, other):
    for credentials in ({}, {"user": "hashed", "password": "wrong"}, {"nkeys_seed_str": other}):
        said = await refused(url, **credentials)
        assert "authorization violation" in said or "no servers" in said, said


async def with_a_hashed_password(url, _, __):
    client = await connect(url, user="hashed", password="foobar")
    await client.flush(timeout=5)
    await client.close()


async def within_permissions(url, seed, _):
    complaints = []
    client = await connect(url, complaints, nkeys_seed_str=seed)
    await client.publish("other", b"")
    assert "permissions violation for publish to" in await first(complaints)
    complaints.clear()
    secret = await client.subscribe("orders.secret")
    assert "permissions violation for subscription to" in await first(complaints)
    try:
        await secret.next_msg(timeout=0.1)
        raise AssertionError("a secret was told")
    except TimeoutError:
        pass
    await client.close()


async def answers(url, seed, _):
    responder = await connect(url, user="responder", password="p")

    async def answer(message):
        await message.respond(b"7")

    await responder.subscribe("orders.price", cb=answer)
    await responder.flush()
    client = await connect(url, nkeys_seed_str=seed)
    for _ in range(20):
        assert (await client.request("orders.price", b"", timeout=5)).data == b"7"
    await client.close()
    await responder.close()


async def main():
    for check in [with_a_key, with_nothing_good, with_a_hashed_password, within_permissions, answers]:
        await asyncio.wait_for(check(*sys.argv[1:4]), 30)
        print(f"{check.__name__}: ok")


asyncio.run(main())
