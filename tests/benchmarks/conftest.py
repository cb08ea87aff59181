"""A server that answers at once, in a process of its own: what is measured is the client."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = """
import asyncio
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 200\\r\\n\\r\\n" + b'{"x": "' + b"y" * 191 + b'"}'
class Answering(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.left = transport, b""
    def data_received(self, data):
        *heads, self.left = (self.left + data).split(b"\\r\\n\\r\\n")
        self.transport.write(ANSWER * len(heads))
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(120)
asyncio.run(main())
"""


@pytest.fixture
def instant() -> Iterator[str]:
    """Give the URL of the server."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()
