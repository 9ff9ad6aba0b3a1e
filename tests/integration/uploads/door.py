"""The upload door of a small world, and how a supplier pushes to it."""

import socket
import threading
from contextlib import contextmanager

import httpx

from connectors.upload import new_token, token_hash
from stockfeed.web.server import Listening, config_of
from tests.integration.hostile_world import HostileWorld, HourClock, toml

TOKEN, OTHER = new_token(), new_token()
HEAD = (
    f"PUT /v1/feeds/acme.stock/deliveries/stock.csv HTTP/1.1\r\nHost: x\r\n"
    f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
).encode()
CSV = b"sku,quantity\nA1,5\nA2,6\n"


def config(more: str = "", **options) -> str:
    one = """
[[feed]]
code = "{code}"
source = {source}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
{more}
columns = {{ supplier_sku = "sku", on_hand = "quantity" }}
"""
    first = {"type": "upload", "tokens": [token_hash(TOKEN)], "pattern": "*.csv", "max_size": 5_000_000, **options}
    second = {"type": "upload", "tokens": [token_hash(OTHER)]}
    third = {"type": "folder", "path": "/nowhere"}
    feeds = [("stock", first, more), ("other", second, ""), ("folder", third, "")]
    return '[supplier]\ncode = "acme"\nname = "Acme"\n' + "".join(one.format(code=c, source=toml(s), more=m) for c, s, m in feeds)


@contextmanager
def door(tmp_path, template, text: str):
    import uvicorn

    world = HostileWorld(tmp_path, text, HourClock(), template)
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config_of(world.app, Listening("127.0.0.1", sock.getsockname()[1])))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()

    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=20, trust_env=False) as client:
            client.port, client.stop = sock.getsockname()[1], stop
            yield world, client
    finally:
        stop()
        sock.close()
        world.close()


def push(client, content=CSV, name="stock.csv", feed="acme.stock", token=TOKEN, **headers):
    said = {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return client.put(f"/v1/feeds/{feed}/deliveries/{name}", content=content, headers=said)
