import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals.notebook import answer, get

from fastreq_jupyter.journal.identity import Identities
from fastreq_jupyter.model import Request

KEY = b"k" * 32


def bases(*requests):
    return [Identities(KEY).of(request).base for request in requests]


def are_one(first, second):
    a, b = bases(first, second)
    return a == b


def at(url, **more):
    return Request(more.pop("method", "GET"), url, **more)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (at("http://h/x"), at("http://h/y")),
        (at("http://h/x"), at("http://g/x")),
        (at("http://h/x"), at("https://h/x")),
        (at("http://h/x"), at("http://h/x", method="HEAD")),
        (at("http://h/x?a=1"), at("http://h/x?a=2")),
        (at("http://h/x?key=apple"), at("http://h/x?key=banana")),
        (at("http://h/x", method="POST", data=b"a"), at("http://h/x", method="POST", data=b"b")),
        (at("http://h/x", method="POST", json={"key": "a"}), at("http://h/x", method="POST", json={"key": "b"})),
        (at("http://h/x", method="POST", data=bytes([0xE4])), at("http://h/x", method="POST", data=bytes([0xF6]))),
        (at("http://h/x", headers={"Accept": "text/csv"}), at("http://h/x", headers={"Accept": "text/html"})),
        (at("http://h/x", headers={"Range": "bytes=0-9"}), at("http://h/x", headers={"Range": "bytes=10-19"})),
        (at("https://stage/x", secrets={"https://stage"}), at("https://prod/x", secrets={"https://prod"})),
    ],
)
def test_different_requests_are_told_apart(first, second):
    assert not are_one(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (at("http://h/x"), at("http://h/x", key=5, label="name", save_as="f")),
        (at("http://me:old@h/x"), at("http://me:new@h/x")),
        (at("http://h/x?token=old&a=1"), at("http://h/x?token=new&a=1")),
        (at("http://h/x", headers={"Authorization": "old"}), at("http://h/x", headers={"Authorization": "new"})),
        (at("http://h/x", headers={"X-Request-Id": "1", "User-Agent": "a"}), at("http://h/x")),
        (at("http://h/old/x", secrets={"old"}), at("http://h/new/x", secrets={"new"})),
        (
            at("http://h/x", method="POST", json={"a": 1, "password": "old"}),
            at("http://h/x", method="POST", json={"a": 1, "password": "new"}),
        ),
        (
            at("http://h/x", method="POST", data={"a": 1, "password": "old"}),
            at("http://h/x", method="POST", data={"a": 1, "password": "new"}),
        ),
        (at("http://h/x", method="POST", files={"f": b"1"}), at("http://h/x", method="POST", files={"f": b"1"})),
        (at("http://h/1", identity=("http://h/0", None)), at("http://h/2", identity=("http://h/0", None))),
        (
            at("http://h/x", method="POST", data=b"uuid1", identity=("http://h/x", b"0")),
            at("http://h/x", method="POST", data=b"uuid2", identity=("http://h/x", b"0")),
        ),
    ],
)
def test_credentials_and_what_is_made_anew_make_no_difference(first, second):
    assert are_one(first, second)


def test_equal_requests_are_numbered():
    names = Identities(KEY)
    assert [names.of(get(1)).occurrence for _ in range(3)] == [1, 2, 3]
    assert names.of(get(2)).occurrence == 1


def test_hash_depends_on_the_key():
    assert Identities(KEY).of(get(1)).base != Identities(os.urandom(32)).of(get(1)).base


def test_request_without_credentials_has_no_hash_of_them():
    assert Identities(KEY).of(at("http://h/x?a=1", headers={"Accept": "*/*"})).credentials == b""


@given(
    st.text(max_size=30),
    st.binary(max_size=30),
    st.sampled_from([None, "application/json", "multipart/form-data; boundary=x", "text/plain"]),
)
def test_any_request_has_an_identity(url, content, kind):
    request = Request("POST", url, data=content, headers=None if kind is None else {"Content-Type": kind})
    assert Identities(KEY).of(request) == Identities(KEY).of(request)


def tokens(*names):
    return [at(f"http://h.example/me?token=token-of-{name}") for name in names]


def by_token(request, position):
    body = f'"{request.url}"'.encode()
    return answer(request, position, body=body), body


async def test_requests_that_differ_in_credentials_alone_keep_their_own_answers(notebook):
    await notebook.run(tokens("ann", "bob", "eve"), reply=by_token)
    rows = await notebook.run(tokens("eve", "ann"), reply=by_token)
    assert [row.data for row in rows] == [request.url for request in tokens("eve", "ann")]
    assert len(notebook.sent) == 3


async def test_new_credentials_beside_others_are_a_new_request(notebook):
    await notebook.run(tokens("ann", "bob"), reply=by_token)
    await notebook.run(tokens("ann", "kim"), reply=by_token)
    assert notebook.sent == [request.url for request in tokens("ann", "bob", "kim")]


async def test_renewed_token_finds_the_old_answers(notebook):
    old = [Request("POST", f"http://h.example/{n}", headers={"Authorization": "old"}) for n in (1, 1, 2)]
    new = [Request("POST", f"http://h.example/{n}", headers={"Authorization": "new"}) for n in (1, 1, 2)]
    newest = [Request("POST", f"http://h.example/{n}", headers={"Authorization": "newest"}) for n in (1, 1, 2)]
    await notebook.run(old)
    await notebook.run(new)
    await notebook.run(newest)
    assert len(notebook.sent) == 3


async def test_order_of_requests_does_not_matter(notebook):
    await notebook.run([get(n) for n in range(10)])
    await notebook.run([get(n) for n in reversed(range(10))])
    assert len(notebook.sent) == 10


async def test_equal_requests_each_have_their_row(notebook):
    await notebook.run([get(1)] * 3)
    assert len(notebook.sent) == 3
    await notebook.run([get(1)] * 4)
    assert len(notebook.sent) == 4
