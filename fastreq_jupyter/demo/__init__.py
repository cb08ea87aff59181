"""A small, honest API server on loopback, for README, notebooks and trying things out.

In a notebook or a test::

    from fastreq_jupyter import demo
    server = demo.start()        # server.url, server.stats(), server.stop(); or `with demo.start() as server:`

In a terminal::

    python -m fastreq_jupyter.demo --port 8642

It binds to 127.0.0.1 only. `GET /` lists all paths, `GET /stats` tells what the server measured.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from fastreq_jupyter.demo.api import PATHS, Api
from fastreq_jupyter.demo.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DemoServer", "main", "start"]

HOST = "127.0.0.1"
LONGEST_STOP = 5.0


class DemoServer:
    """The shop, served from a daemon thread with an event loop of its own.

    Attributes:
        url: `http://127.0.0.1:PORT`, without a slash at the end.
        running: False after `stop`.
    """

    def __init__(self, port: int = 0, *, seed: int = 1, jitter: tuple[float, float] = (0.005, 0.03)) -> None:
        self._api = Api(Shop.make(seed), jitter)
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="fastreq-demo", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure
        self.url = f"http://{HOST}:{self._port}"

    @property
    def running(self) -> bool:
        """Tell whether the server answers."""
        return self._thread.is_alive()

    def stats(self) -> dict[str, Any]:
        """Return what the server measured: requests, peak concurrency, counts per path and per status."""
        return self._api.measurements()

    def stop(self) -> None:
        """Stop serving and wait for the end; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(LONGEST_STOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        shop = self._api.shop
        state = "" if self.running else ", stopped"
        records = f"{len(shop.customers)} customers, {len(shop.orders)} orders, {len(shop.products)} products"
        return f"<DemoServer {self.url}{state}: {records}; GET / lists its paths, .stop() ends it>"

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._answer())
        finally:
            self._ready.set()
            self._loop.close()

    async def _answer(self) -> None:
        runner = web.AppRunner(self._api.app(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, self._port, backlog=2048)
            await site.start()
            self._port = runner.addresses[0][1]
        except OSError as error:
            self._failure = error
        else:
            self._ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()


def start(port: int = 0, *, seed: int = 1, jitter: tuple[float, float] = (0.005, 0.03)) -> DemoServer:
    """Start the demo server and return when it answers.

    Args:
        port: TCP port on 127.0.0.1; 0 takes a free one.
        seed: Equal seeds serve equal records.
        jitter: Shortest and longest time in seconds before an answer; which one depends on the path and query alone.

    Raises:
        OSError: The port is taken.
    """
    return DemoServer(port, seed=seed, jitter=jitter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve in the foreground until Ctrl-C or SIGTERM; the terminal's door, main thread only.

    Args:
        arguments: Command line without the program's name; None reads `sys.argv`.
    """
    parser = argparse.ArgumentParser(prog="python -m fastreq_jupyter.demo", description="A small API server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8642, help="TCP port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds serve equal records (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        server = start(options.port, seed=options.seed)
    except (OSError, OverflowError) as error:
        parser.exit(1, f"{parser.prog}: port {options.port} cannot be used: {error}\n")
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with server:
        print(server, *(f"  {path:<26} {text}" for path, text in PATHS.items()), "Ctrl-C ends it.", sep="\n", flush=True)  # noqa: T201  a command
        ended.wait()
    return 0
