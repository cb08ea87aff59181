"""The demo server's OAuth2: client credentials, refresh tokens, and a sign-in on another device."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode
from typing import Any

from aiohttp import web

__all__ = ["TOKEN_SECONDS", "Tokens"]

TOKEN_SECONDS = 5
_CLIENT = ("demo", "demo")
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Tokens:
    """Tokens that were granted and have not ended; a refresh token is good once."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._refresh: set[str] = set()
        # Device code -> number of requests for its token.
        self._devices: dict[str, int] = {}

    def knows(self, authorization: str) -> bool:
        """Tell whether a value of Authorization holds a token that is good now."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._ends.get(token, 0.0) > time.monotonic()

    async def grant(self, request: web.Request) -> web.Response:
        """Answer a token request (RFC 6749)."""
        form = await request.post()
        grant = form.get("grant_type")
        if grant == _DEVICE_GRANT:
            return self._grant_device(str(form.get("device_code")))
        client = _client_of(request, form)
        # A sign-in is requested without a secret, and so is the refresh of its token.
        if client != _CLIENT and (grant != "refresh_token" or client[0] != _CLIENT[0]):
            return _refused("invalid_client", 401)
        if grant == "refresh_token":
            if form.get("refresh_token") not in self._refresh:
                return _refused("invalid_grant")
            self._refresh.discard(str(form.get("refresh_token")))
        elif grant != "client_credentials":
            return _refused("unsupported_grant_type")
        return self._granted()

    async def sign_in(self, request: web.Request) -> web.Response:
        """Begin a sign-in (RFC 8628)."""
        if (await request.post()).get("client_id") != "demo":
            return _refused("invalid_client", 401)
        code = secrets.token_urlsafe(24)
        self._devices = {code: 0}
        page = str(request.url.with_path("/").with_query(None))
        answer = {"device_code": code, "user_code": "DEMO-CODE", "verification_uri": page, "expires_in": 60, "interval": 1}
        return web.json_response(answer)

    def _grant_device(self, code: str) -> web.Response:
        if code not in self._devices:
            return _refused("expired_token")
        self._devices[code] += 1
        if self._devices[code] == 1:
            return _refused("authorization_pending")
        del self._devices[code]
        return self._granted()

    def _granted(self) -> web.Response:
        now = time.monotonic()
        self._ends = {token: end for token, end in self._ends.items() if end > now}
        token, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._ends[token] = now + TOKEN_SECONDS
        self._refresh.add(refresh)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "refresh_token": refresh}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})


def _client_of(request: web.Request, form: Any) -> tuple[str, str]:
    scheme, _, packed = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return str(form.get("client_id")), str(form.get("client_secret"))
    try:
        user, _, password = b64decode(packed).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


def _refused(error: str, status: int = 400) -> web.Response:
    return web.json_response({"error": error}, status=status)
