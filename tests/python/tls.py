"""What nats-py, the Python client, does over TLS: python tls.py URL CA CERT KEY FIRST. With a certificate of its own it begins
before INFO if FIRST is "only", after it if "never", and does both if "too"; and it leaves a server whose authority it does not know."""

import asyncio
import ssl
import sys

import nats


def context(ca, cert, key):
    made = ssl.create_default_context(cafile=ca)
    made.load_cert_chain(cert, key)
    return made


async def talk(url, tls, **options):
    client = await nats.connect(url, tls=tls, tls_hostname="localhost", allow_reconnect=False, connect_timeout=5, **options)

    async def answer(message):
        await message.respond(message.data[::-1])

    asked = await client.subscribe("asked", cb=answer)
    answers = [await client.request("asked", bytes([65 + number % 26]) * 3000, timeout=5) for number in range(100)]
    assert all(answer.data == bytes([65 + number % 26]) * 3000 for number, answer in enumerate(answers))
    await asked.unsubscribe()
    await client.close()


async def main(url, ca, cert, key, first):
    tls = context(ca, cert, key)
    if first != "only":
        await talk(url, tls)
        print("TLS after INFO: ok")
    if first != "never":
        await talk(url, tls, tls_handshake_first=True)
        print("TLS before INFO: ok")
    options = {"tls_handshake_first": True} if first == "only" else {}
    try:
        await talk(url, ssl.create_default_context(), **options)
    except ssl.SSLCertVerificationError:
        print("a server that nobody knows is not spoken to: ok")


asyncio.run(main(*sys.argv[1:]))
