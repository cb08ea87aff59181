"""No secret that we send reaches anything that is drawn, saved or logged: one canary per place, through every kind of fault.

A notebook is run in a real kernel that logs everything, with `%xmode Verbose`. Canaries come in by the environment, so that
the notebook's own source holds none. Then all that came out is searched for the core of each, plain and in base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import pytest
from faultserver import proxies, scripts
from faultserver.faults import FAULTS
from faultserver.server import Call, FaultServer, routes
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbconvert import HTMLExporter

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PLACES = ("authorization", "proxy_authorization", "cookie", "api_key_header", "auth_option", "bearer_option", "cookies_option", "userinfo", "query",
          "query_env", "query_dotenv", "path_env", "json_field", "form_field", "header_env", "proxy_url", "set_cookie", "chained", "session_header",
          "echoed", "bad_header", "bad_url", "client_secret", "refresh_token", "access_token", "device_code", "function_token", "query_key",
          "header_key", "digest_password", "sigv4_session_token", "bad_token")  # fmt: skip


def core(place):
    """Return the part of a canary that no encoding but base64 changes."""
    return "k" + hashlib.sha256(place.encode()).hexdigest()[:15]


def canary(place):
    """Return the whole value, with what encodings change around its core."""
    return f"a/{core(place)}+b=c" if place != "json_field" else f'q"{core(place)}/\u00e9'


def in_base64(text):
    """Return what every base64 text holds that has `text` in it, one form for each of three alignments."""
    found = set()
    for shift in range(3):
        packed = base64.b64encode(b"\0" * shift + text.encode()).decode().rstrip("=")
        found.add(packed[4 if shift else 0 : -2])
    return found


# What the server does with a request; each path is one kind of end.
ENDS = ("connection refused", "never answers", "closes before the head", "closes in mid body", "garbage instead of a head", "self-signed certificate",
        "status 404", "status 503", "gzip cut in half", "HTML that says it is JSON", "redirect to a file", "redirect to another origin",
        "endless redirects", "Content-Length of 1 TB", "drips the head", "endless 100 Continue", "empty JSON body")  # fmt: skip


def echoes_in_reason(call: Call) -> Any:
    """Say the query back in the reason phrase, with its name and without, in a header, and as a cookie."""
    query = call.request.target.partition("?")[2]
    said = f"HTTP/1.1 400 bad {query} or {query.partition('=')[2]}\r\nX-Echo: {query}\r\nSet-Cookie: s={canary('set_cookie')}\r\nContent-Length: 2\r\n\r\nno"
    return call.send(said.encode("latin-1"))


def echoes_credentials(call: Call) -> Any:
    """Say what was sent back in the reason phrase and in a header."""
    query, sent = call.request.target.partition("?")[2], call.request.header("authorization") or call.request.header("odd") or ""
    return call.send(f"HTTP/1.1 400 bad {sent} {query}\r\nX-Echo: {query} {sent}\r\nContent-Length: 2\r\n\r\nno".encode("latin-1"))


def grants(call: Call) -> Any:
    """Grant what is asked for, but to one client, who gets what cannot be sent, and one whose error is said with its secret."""
    form = call.request.body.decode()
    said = {"access_token": canary("access_token"), "refresh_token": canary("refresh_token"), "expires_in": 3600}
    if "client_id=torn" in form:
        said["access_token"] = canary("bad_token") + "\n"
    refused = {"error": "invalid_client", "error_description": f"{form} {call.request.header('authorization')}"}
    good = "client_id=rude" not in form
    body = json.dumps(said if good else refused).encode()
    return call.send(scripts.whole(200 if good else 400, body, ("Content-Type", "application/json")))


def signs_in(call: Call) -> Any:
    """Begin a sign-in."""
    said = {"device_code": canary("device_code"), "user_code": "CODE", "verification_uri": "https://sign.in/", "interval": 0.05}
    return call.send(scripts.whole(200, json.dumps(said).encode()))


def challenges(call: Call) -> Any:
    """Ask for a digest."""
    return call.send(scripts.whole(401, b"no", ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')))


def echoes_in_location(call: Call) -> Any:
    """Send the query back as a Location that is refused."""
    return call.send(scripts.head(302, ("Location", f"ftp://there/{call.request.target}"), ("Content-Length", "0")))


SETUP = """
import logging, os, warnings, asyncio
logging.basicConfig(level=0, filename="debug.log", force=True)
logging.captureWarnings(True)
warnings.simplefilter("always")
asyncio.get_running_loop().set_debug(True)
%xmode Verbose
%load_ext fastreq_jupyter
from fastreq_jupyter import ApiKey, Digest, OAuth2, SigV4, FastRequests, Request, fastreq, fastreq_async, fastreq_stream, last_run, submit
import json
def secret(place): return os.environ["CANARY_" + place.upper()]
def urls(): return json.loads(os.environ["ENDS"])
def asked(): return [f"{url}?token={secret('query')}" for url in urls()]
def everything(**more):
    return dict(headers={"Authorization": "Bearer " + secret("authorization"), "X-Api-Key": secret("api_key_header"), "Cookie": "c=" + secret("cookie"),
                         "Proxy-Authorization": "Basic " + secret("proxy_authorization")},
                cookies={"k": secret("cookies_option")}, timeout=1, max_retries=0, max_body=10**6, timings=True, response_headers=True) | more
authorization, api, cookie, query, js, form, echoed = (
    secret(place) for place in ("authorization", "api_key_header", "cookie", "query", "json_field", "form_field", "echoed"))
pair = {url[:url.index("/", 8)]: ("user", secret("auth_option")) for url in urls()}
bearer = secret("bearer_option")
account = OAuth2(os.environ["BASE"] + "/token", "client", secret("client_secret"), refresh_token=secret("refresh_token"))
person = OAuth2.device(os.environ["BASE"] + "/device", os.environ["BASE"] + "/token", "client")
every = {url[:url.index("/", 8)]: account for url in urls()}
def function_token(): return secret("function_token")
ends, base, chain = urls(), os.environ["BASE"], os.environ["BASE"]
"""

MAGICS = """
%%fastreq named --each ends --retries 0 -t 1 --max-body 1MB --timings --response-headers --journal runs.db
GET {{ item }}?token={{ query }}&api_key={{$env CANARY_QUERY_ENV}}&sig={{$dotenv QUERY_DOTENV}}
Authorization: Bearer {{ authorization }}
X-Api-Key: {{ api }}
Cookie: c={{ cookie }}
X-Custom: {{$env CANARY_HEADER_ENV}}
---
%%fastreq posts --each ends --retries 0 -t 1 --max-body 1MB --auth pair --journal runs.db
POST {{ item }}
Content-Type: application/json

{"password": "{{ js }}", "n": 1}

###
POST {{ item }}
Content-Type: application/x-www-form-urlencoded

client_secret={{ form }}&n=1
---
%%fastreq paths --retries 0 --auth bearer
{{ base }}/good/{{$env CANARY_PATH_ENV}}
{{ base }}/reason?token={{ echoed }}
{{ base }}/location?token={{ echoed }}
---
%%fastreq chained --retries 0
# @name login
POST {{ chain }}/login
Content-Type: application/json

{"password": "{{ js }}"}

###
GET {{ chain }}/good
Authorization: Bearer {{ login.data.token }}
---
%%fastreq --dry-run
GET {{ base }}/good?token={{ query }}
Authorization: Bearer {{ authorization }}
---
%%fastreq
GET {{ base }}/good?token={{ query }}
X-Api-Key: {{$env CANARY_BAD_HEADER_WITH_NEWLINE}}
---
%%fastreq
GET {{ base }}/good?token={{ query }}&x={{ nothing_of_that_name }}
---
%%fastreq --concurrency many --auth pair
{{ base }}/good
"""

FUNCTIONS = """
df = fastreq(asked(), **everything())
df
---
await fastreq_async([url.replace("://", "://user:" + secret("userinfo").replace("/", "%2F") + "@", 1) for url in urls()], **everything(headers=None))
---
fastreq(asked(), **everything(return_type="json", timings=False, response_headers=False))
---
fastreq(asked(), **everything(check=True))
---
fastreq([asked()[0]] * 3, **everything(parse_func=lambda data: 1 / 0))
---
await fastreq_async(asked(), **everything(auth=pair, headers=None))
---
def source():
    yield from asked()
    raise RuntimeError("the source broke")
fastreq(source(), **everything())
---
fastreq([base + "/good"], proxy=os.environ["PROXY"], max_retries=0)
---
fastreq([base + "/good"], proxy=os.environ["DEAD_PROXY"], max_retries=0)
---
async with FastRequests(base_url=base, headers={"X-Api-Key": secret("session_header")}, max_retries=0) as client:
    print(client)
    await client.request(["/reason", "/good"])
client
---
fastreq([Request("POST", url, json={"password": secret("json_field")}) for url in urls()], **everything(headers=None))
---
fastreq([Request("POST", url, data={"client_secret": secret("form_field")}) for url in urls()], **everything(headers=None))
---
fastreq([base + "/good"], headers={"X-Api-Key": secret("bad_header") + chr(10) + "x"})
---
fastreq([base + "/good"], headers={secret("bad_header"): object()})
---
fastreq(["http://user:" + secret("bad_url") + "@[bad/?token=" + secret("bad_url"), "ftp://user:" + secret("bad_url") + "@host/"])
---
fastreq([base + "/good"], auth={"http://user:" + secret("bad_url") + "@x": 3})
---
fastreq([base + "/good"], proxy="gopher://user:" + secret("bad_url") + "@x")
---
fastreq([base + "/good"], authorisation=secret("authorization"))
---
Request("GET", asked()[0], headers={"X-Api-Key": secret("api_key_header")}, json={"password": secret("json_field")}, data="x")
---
Request("GET", asked()[0], json={"password": secret("json_field"), "no": object()})
---
fastreq(asked() + [3], **everything())
---
run = submit(asked(), **{k: v for k, v in everything().items()})
print(run)
out = await run
run
---
async for outcome in fastreq_stream(asked(), **{k: v for k, v in everything().items() if k not in ("timings", "response_headers")}):
    print(outcome)
    raise ValueError("in the middle of the stream")
"""

TOKENS = """
from fastreq_jupyter import Panel
fastreq(asked(), **everything(headers=None, auth=every))
---
%%fastreq tokens --each ends --retries 0 -t 1 --max-body 1MB --timings --response-headers --auth every --journal runs.db
GET {{ item }}
---
for auth in (account, person, function_token, ApiKey("odd", secret("header_key")), ApiKey("odd", secret("query_key"), "query")):
    frame = fastreq([base + "/says", base + "/location"], max_retries=0, response_headers=True, columns="all", auth=auth)
    display(frame, auth, last_run().outcomes, last_run().summary(), frame.fastreq.timings(), frame.fastreq.waterfall())
    print(frame.to_string(), frame.fastreq.to_http(), frame.fastreq.to_curl())
---
for auth in (OAuth2(base + "/token", "torn", secret("client_secret"), in_body=True), OAuth2(base + "/token", "rude", secret("client_secret"), in_body=True)):
    frame = fastreq([base + "/says"] * 2, auth=auth)
    display(frame, last_run().outcomes)
---
for auth in (Digest("user", secret("digest_password")), SigV4("s3", "eu", access_key="AKID", secret_key=secret("sigv4_session_token"), session_token=secret("sigv4_session_token"))):
    display(fastreq([base + "/digest", base + "/says"], auth=auth, backend="curl", response_headers=True), auth, last_run().outcomes)
---
fastreq([base + "/says"], auth=lambda: {"X-Odd": secret("bad_token") + chr(10)})
---
fastreq([base + "/says"], auth=lambda: 1 / 0 if secret("bad_token") else None, check=True)
---
fastreq([base + "/says"], auth=function_token, headers={"Authorization": secret("function_token")})
---
OAuth2(base + "/token", "client", secret("client_secret") + chr(10))
---
panel = Panel("GET {{ base }}/says", auth="account", name="from_panel")
panel
---
await panel.start()
last_run().summary()
"""

DRAWN = """
df.drop(columns="data")
---
print(df.drop(columns="data").to_string(), df.drop(columns="data").to_dict("records"), df.attrs)
---
print(last_run(), last_run().outcomes, last_run().rows, last_run().summary(), last_run().options, last_run().plan, last_run().closing_line())
---
last_run().outcomes
---
print([vars_of for frame in (named, posts, paths, chained) for vars_of in (frame.drop(columns="data").to_string(), frame.attrs, frame.to_html())])
---
print(chained["data"].tolist())
---
last_run().retry_failed()
---
named.fastreq.summary()
---
named.fastreq.timings()
---
named.fastreq.waterfall()
---
named.fastreq.failed.drop(columns="data")
---
%fastreq
---
%config Fastreq
---
from fastreq_jupyter import Panel
panel = Panel("GET {{ base }}/reason?token={{ query }}\\nX-Api-Key: {{ api }}\\nCookie: c={{ cookie }}", auth="bearer", name="from_panel")
panel
---
await panel.start()
panel.run
---
from_panel.drop(columns="data")
"""


class Listening(NotebookClient):
    """Run a notebook and keep every message of its kernel."""

    def process_message(self, msg, cell, cell_index):
        """Keep it, then do as usual."""
        self.heard.append(json.dumps(msg, default=str))
        return super().process_message(msg, cell, cell_index)


def _server(server: FaultServer) -> dict[str, str]:
    token = json.dumps({"token": canary("chained")}).encode()
    base = server.open(
        routes(
            {
                "/reason": echoes_in_reason,
                "/location": echoes_in_location,
                "/says": echoes_credentials,
                "/token": grants,
                "/device": signs_in,
                "/digest": challenges,
                "/login": scripts.reply(200, token, ("Content-Type", "application/json")),
            },
            scripts.reply(200, b"good", ("Set-Cookie", f"s={canary('set_cookie')}")),
        )
    )
    proxy = server.open(raw=proxies.http_proxy(proxies.ProxyLog(), fault="closes"))
    user = f"user:{canary('proxy_url')}@".replace("/", "%2F")
    return {
        "BASE": base.origin(),
        "ENDS": json.dumps([FAULTS[name].set_up(server).url for name in ENDS] + [base.url("/reason"), base.url("/location")]),
        "PROXY": f"http://{user}127.0.0.1:{proxy.port}",
        "DEAD_PROXY": f"http://{user}127.0.0.1:{server.refused_port()}",
    }


def artefacts_of(folder: Path) -> dict[str, str]:
    """Run the notebook; give all that came out, by kind, and what arrived at the servers."""
    (folder / ".env").write_text(f"QUERY_DOTENV={canary('query_dotenv')}\n")
    with FaultServer() as server:
        env = {f"CANARY_{place.upper()}": canary(place) for place in PLACES} | _server(server)
        env["CANARY_BAD_HEADER_WITH_NEWLINE"] = canary("bad_header") + "\nx"
        env |= {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
        cells = [SETUP, *(cell for block in (MAGICS, FUNCTIONS, DRAWN, TOKENS) for cell in block.split("---\n"))]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
        with TemporaryDirectory(prefix="k") as sockets:
            manager = AsyncKernelManager(transport="ipc", connection_file=f"{sockets}/c.json")
            client = Listening(notebook, km=manager, allow_errors=True, timeout=90, resources={"metadata": {"path": str(folder)}})
            client.heard = []
            client.execute(env=os.environ | env, cleanup_kc=True)
        arrived = "\n".join(str((a.target, a.headers, a.body)) for door in server.doors for a in door.arrivals)
        arrived += "\n".join(str(bytes(link.received)) for door in server.doors for link in door.links)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    return {
        "notebook": nbformat.writes(notebook),
        "widget state": json.dumps(notebook.metadata.get("widgets", {})),
        "messages": "\n".join(client.heard),
        "html": page,
        "log": (folder / "debug.log").read_text(errors="replace"),
        "journal": "\n".join(path.read_bytes().decode("latin-1") for path in sorted(folder.glob("runs.db*"))),
        "arrived": arrived,
        "errors": "\n".join("\n".join(o.get("traceback", [])) for c in notebook.cells for o in c.outputs if o.output_type == "error"),
        "cells": "\n".join(f"{c.source[:80]!r}: {[o.get('ename') or o.output_type for o in c.outputs]}" for c in notebook.cells),
    }


SEARCHED = ("notebook", "widget state", "messages", "html", "log", "journal")


def forms(place):
    return (core(place), *in_base64(core(place)))


SENT = tuple(place for place in PLACES if place not in {"set_cookie", "bad_header", "bad_url", "proxy_url", "bad_token", "digest_password"})


def test_every_canary_is_sent_and_none_comes_out_anywhere(tmp_path):
    artefacts = artefacts_of(tmp_path)
    found = {}
    for place in PLACES:
        for name in SEARCHED:
            text = artefacts[name]
            for form in forms(place):
                if (at := text.find(form)) >= 0:
                    found[place, name] = text[max(0, at - 150) : at + 60]
        print(f"{place:22}", *(f"{name}: {(place, name) in found:d}" for name in SEARCHED))
    assert not found, "\n".join(f"{place} in the {name}: ...{where!r}" for (place, name), where in found.items())
    # What was not sent could not have come out, and what was not tried could not have failed.
    assert not [place for place in SENT if not any(form in artefacts["arrived"] for form in forms(place))]
    for name in ("PartialFailureError", "SourceError", "OptionError"):
        assert name in artefacts["errors"]
    for name in ("ModuleNotFoundError", "NameError", "ImportError"):
        assert name not in artefacts["errors"], artefacts["cells"]
    assert artefacts["journal"]
    assert artefacts["log"]
