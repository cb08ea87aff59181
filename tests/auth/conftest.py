"""An API that wants tokens, and what grants them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faultserver import scripts
from faultserver.server import Call, Door, FaultServer


class Api:
    """An origin that takes the tokens in `good` alone, and its token endpoint.

    Attributes:
        door: Where it is.
        good: Tokens that it takes.
        grants: What each token request is answered with, a script; by default a new token, good from now on alone.
        status: Of a refusal.
        life: `expires_in` of a token, None for no such member.
    """

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.good: set[str] = set()
        self.grants: Any = self.grant
        self.status = 401
        self.life: Any = 3600
        self.door: Door = server.open(self.answer)

    @property
    def url(self) -> str:
        """Return its origin."""
        return self.door.origin()

    @property
    def token_url(self) -> str:
        """Return its token endpoint."""
        return self.door.url("/token")

    @property
    def asked(self) -> int:
        """Return how many token requests arrived."""
        return self.door.count(path="/token")

    def urls(self, count: int) -> list[str]:
        """Return URLs that want a token."""
        return [self.door.url(f"/api?n={n}") for n in range(count)]

    def new_token(self) -> str:
        """Return a token that is good from now on, and no other."""
        token = f"token-{self.asked}-{len(self.door.arrivals)}-abcdefgh"
        self.good = {token}
        return token

    async def grant(self, call: Call) -> None:
        """Grant a token."""
        said = {"access_token": self.new_token(), "token_type": "bearer"} | ({} if self.life is None else {"expires_in": self.life})
        await call.send(scripts.whole(200, json.dumps(said).encode(), ("Content-Type", "application/json")))

    async def answer(self, call: Call) -> None:
        """Answer one request."""
        if call.request.path == "/token":
            await self.grants(call)
            return
        good = (call.request.header("authorization") or "").removeprefix("Bearer ") in self.good
        await call.send(scripts.whole(200, b"good") if good else scripts.whole(self.status, b"refused"))


@pytest.fixture
def server():
    """Give a fault server."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def api(server) -> Api:
    """Give the API."""
    return Api(server)
