"""An OAuth2 server made of authlib, and an API that wants its tokens, at one door of the fault server."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict
from faultserver import scripts

CLIENT, SECRET = "the client", "se:cret/+& é"


class Client(ClientMixin):
    """The one client."""

    def get_client_id(self):
        return CLIENT

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_client_secret(self, client_secret):
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return True

    def check_grant_type(self, grant_type):
        return True


class Granted:
    """A token that was granted."""

    def __init__(self, said):
        self.said = said

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.said.get("scope", "")


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return self.server.refresh.pop(refresh_token, None)

    def authenticate_user(self, refresh_token):
        return "somebody"

    def revoke_old_credential(self, refresh_token):
        pass


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class Device(DeviceCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def query_device_credential(self, device_code):
        return self.server.devices.get(device_code)

    def query_user_grant(self, user_code):
        decided = self.server.decided
        return None if decided is None else ("somebody", decided)

    def should_slow_down(self, credential):
        return False


class DeviceEndpoint(DeviceAuthorizationEndpoint):
    CLIENT_AUTH_METHODS = ("none",)
    INTERVAL = 0.02

    def get_verification_uri(self):
        return "https://sign.in/device"

    def save_device_credential(self, client_id, scope, data):
        ends = time.time() + self.EXPIRES_IN
        self.server.devices[data["device_code"]] = DeviceCredentialDict(
            {**data, "client_id": client_id, "scope": scope, "expires_at": ends}
        )


class OAuthServer(AuthorizationServer):
    """Grants tokens; a script of the fault server.

    Attributes:
        asked: Form of each token request, in order.
        said: What was answered to each.
        good: Access tokens that the API takes.
        life: Seconds for which a token is good.
        asked_twice: Set with the second token request.
        decided: What the person at the device says: None for nothing yet.
    """

    def __init__(self):
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.said: list[dict[str, Any]] = []
        self.good: set[str] = set()
        self.refresh: dict[str, Granted] = {}
        self.devices: dict[str, Any] = {}
        self.life = 3600
        self.decided: bool | None = None
        self.asked_twice = threading.Event()
        for grant in (ClientCredentials, Refresh, Device):
            self.register_grant(grant)
        self.register_endpoint(DeviceEndpoint)
        generator = BearerTokenGenerator(lambda **_: f"access-{len(self.asked)}-abcdef", lambda **_: f"refresh-{len(self.asked)}-abcdef")
        generator.expires_generator = lambda *_: self.life
        self.register_token_generator("default", generator)

    def query_client(self, client_id):
        return Client() if client_id == CLIENT else None

    def save_token(self, token, request):
        self.good = {token["access_token"]}
        if "refresh_token" in token:
            self.refresh[token["refresh_token"]] = Granted(token)

    def send_signal(self, name, *args, **kwargs):
        pass

    def create_oauth2_request(self, request):
        made = OAuth2Request(request.method, "https://server/", headers=dict(request.headers))
        made.payload = BasicOAuth2Payload(dict(parse_qsl(request.body.decode())))
        # authlib looks at the form where a grant wants to know whether the method was right
        type(made).form = property(lambda asked: asked.payload.data)
        return made

    def handle_response(self, status, body, headers):
        return status, json.dumps(body).encode(), tuple(headers)

    async def __call__(self, call):
        """Answer one request."""
        request = call.request
        if request.path == "/token":
            self.asked.append(dict(parse_qsl(request.body.decode())))
            if len(self.asked) > 1:
                self.asked_twice.set()
            status, body, headers = self.create_token_response(request)
            self.said.append(json.loads(body))
        elif request.path == "/device":
            status, body, headers = self.create_endpoint_response("device_authorization", request)
        elif (request.header("authorization") or "").removeprefix("Bearer ") in self.good:
            status, body, headers = 200, b'{"ok": true}', (("Content-Type", "application/json"),)
        else:
            status, body, headers = 401, b"{}", ()
        await call.send(scripts.whole(status, body, *headers))
