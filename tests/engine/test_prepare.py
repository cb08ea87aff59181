"""What of a request goes on the wire."""

from __future__ import annotations

import pytest

from fastreq_jupyter.engine.preparing import UnsendableError, prepare
from fastreq_jupyter.model import Request


def sent(**given: object) -> dict[str, str]:
    return {name.lower(): value for name, value in prepare(Request("GET", "http://h.example/", **given)).headers}


def test_a_plain_request_names_us_and_the_codings_we_can_undo() -> None:
    headers = sent()
    assert headers["user-agent"].startswith("fastreq-jupyter/")
    assert "gzip" in headers["accept-encoding"]
    assert headers["accept"] == "*/*"


def test_what_the_user_says_takes_the_place_of_our_own() -> None:
    assert sent(headers={"accept": "text/csv", "USER-AGENT": "me"}) | {"accept-encoding": ""} == {
        "accept": "text/csv",
        "user-agent": "me",
        "accept-encoding": "",
    }


def test_a_part_of_a_body_is_asked_for_uncompressed() -> None:
    assert sent(headers={"Range": "bytes=0-9"})["accept-encoding"] == "identity"


def test_what_a_copied_request_says_of_its_connection_is_left_out() -> None:
    assert "connection" not in sent(headers={"Connection": "close"})


def test_userinfo_becomes_basic_credentials_and_leaves_the_target() -> None:
    exchange = prepare(Request("GET", "http://ann:p%40ss@h.example/x"))
    assert exchange.target.url == "http://h.example/x"
    assert ("Authorization", "Basic YW5uOnBAc3M=") in exchange.headers


@pytest.mark.parametrize(
    ("method", "url", "headers", "kind"),
    [
        ("GET", "ftp://h/x", None, "invalid URL"),
        ("GET", "http://h/\n", {"A": "b"}, None),
        ("G T", "http://h/", None, "invalid value"),
        ("GET", "http://h/", {"bad name": "x"}, "invalid value"),
        ("GET", "http://h/", {"A": "b\r\nC: d"}, "invalid value"),
    ],
)
def test_what_cannot_be_sent_is_named(method: str, url: str, headers: dict[str, str] | None, kind: str | None) -> None:
    request = Request(method, url, headers=headers)
    if kind is None:
        assert prepare(request).target.path_query == "/"
        return
    with pytest.raises(UnsendableError) as caught:
        prepare(request)
    assert caught.value.kind == kind


def test_a_short_secret_in_the_url_is_not_in_the_repr() -> None:
    assert "1234" not in repr(Request("GET", "http://h.example/x?pin=1234", secrets=["1234"]))
