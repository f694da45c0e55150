"""Opens the sockets of each group at once and says which codes they were closed with."""

import asyncio
import json
import ssl
import sys

insecure = ssl.create_default_context()
insecure.check_hostname = False
insecure.verify_mode = ssl.CERT_NONE


async def with_aiohttp(group, opened):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0, ssl=insecure)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.ws_connect(group["url"], protocols=group["protocols"]) as ws:
            opened.set_result(None)
            if group["send"] == "text":
                await ws.send_str("x")
            if group["send"] == "binary":
                await ws.send_bytes(b"\1\2\3")
            async for _ in ws:
                pass
            return str(ws.close_code)


async def with_websockets(group, opened):
    import websockets

    secure = {"ssl": insecure} if group["url"].startswith("wss:") else {}
    async with websockets.connect(group["url"], subprotocols=group["protocols"] or None, open_timeout=60, **secure) as ws:
        opened.set_result(None)
        if group["send"] == "text":
            await ws.send("x")
        if group["send"] == "binary":
            await ws.send(b"\1\2\3")
        await ws.wait_closed()
        return str(ws.close_code)


async def one(client, group, opened):
    try:
        return await client(group, opened)
    except Exception as e:  # tell it as what became of the socket
        return repr(e)
    finally:
        if not opened.done():
            opened.set_result(None)


def say(*words):
    print(*words, flush=True)


async def group_of(client, group):
    opened = [asyncio.get_running_loop().create_future() for _ in range(group["count"])]
    sockets = [asyncio.ensure_future(one(client, group, o)) for o in opened]
    await asyncio.gather(*opened)
    say("open", group["name"])

    async def closed():
        say("closed", group["name"] + ":", ", ".join(await asyncio.gather(*sockets)))

    return asyncio.ensure_future(closed())


async def main():
    client = {"aiohttp": with_aiohttp, "websockets": with_websockets}[sys.argv[1]]
    held = []
    for group in json.loads(sys.argv[2]):
        closed = await group_of(client, group)
        if group["hold"]:
            held.append(closed)
        else:
            await closed
    await asyncio.gather(*held)
    say("done")


asyncio.run(main())
