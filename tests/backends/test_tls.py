"""TLS: whom each backend trusts, what it says when it does not, and HTTP/2."""

import asyncio
import ssl

import pytest
import trustme

from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.exchange import Timing


async def test_own_ca_is_trusted_and_marks_tell_the_handshake(wire, name, server_tls, bundle):
    async with wire.listening(wire.answering(wire.OK), server_tls) as server, wire.session(name, verify=bundle) as backend:
        marks, again = Timing(), Timing()
        stream, body = await wire.fetch(backend, server.url, marks=marks)
        await wire.fetch(backend, server.url, marks=again)
        assert (body, stream.http_version, server.connections) == (b"hi", "1.1", 1)
        assert (marks.encrypted, marks.reused, again.encrypted, again.reused) == (True, False, True, True)
        phases = marks.phases
        assert phases.tls > 0
        assert phases.connect >= 0
        assert again.phases.tls == 0


@pytest.mark.parametrize("ca_of_the_test_only", [True])
async def test_unknown_ca_is_one_tls_error_and_nothing_was_sent(wire, name, server_tls, ca_of_the_test_only):
    async with wire.listening(wire.answering(wire.OK), server_tls) as server, wire.session(name) as backend:
        error = await wire.failure(backend, server.url)
        assert (error.kind, error.sent, server.arrived) == ("tls", False, [])
        assert "certificate is not trusted" in error.detail


async def test_wrong_host_name_is_a_tls_error(wire, name, authority, bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with wire.listening(wire.answering(wire.OK), context) as server, wire.session(name, verify=bundle) as backend:
        error = await wire.failure(backend, server.url)
        assert (error.kind, error.sent) == ("tls", False)


async def test_verification_can_be_turned_off(wire, name, server_tls):
    async with wire.listening(wire.answering(wire.OK), server_tls) as server, wire.session(name, verify=False) as backend:
        assert (await wire.fetch(backend, server.url))[1] == b"hi"


async def test_client_certificate_is_shown(wire, name, server_tls, authority, bundle, tmp_path):  # noqa: PLR0917 - fixtures
    server_tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_tls)
    identity = authority.issue_cert("client@example.org")
    identity.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in identity.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "cert.pem"), append=True)
    cert = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    async with wire.listening(wire.answering(wire.OK), server_tls) as server:
        async with wire.session(name, verify=bundle, cert=cert) as backend:
            assert (await wire.fetch(backend, server.url))[1] == b"hi"
        async with wire.session(name, verify=bundle) as backend:
            assert (await wire.failure(backend, server.url)).kind in ("tls", "connect", "protocol")


async def test_plain_server_on_https_is_a_tls_error(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(wire.failure(backend, server.url.replace("http:", "https:")))
            await wire.until(lambda: server.writers)
            server.writers[0].write(b"HTTP/1.1 400 Bad\r\n\r\n")
        assert (task.result().kind, task.result().sent) == ("tls", False)


@pytest.mark.parametrize("options", [{"verify": "/nowhere/ca.pem"}, {"cert": "/nowhere/cert.pem"}])
async def test_unreadable_certificate_is_refused_at_once(wire, name, options):
    with pytest.raises(OptionError) as caught:
        open_backend(SessionKey(name, **options))
    assert "/nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_environment_does_not_choose_the_ca(wire, name, server_tls, bundle, monkeypatch):
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, bundle)
    async with wire.listening(wire.answering(wire.OK), server_tls) as server, wire.session(name) as backend:
        assert (await wire.failure(backend, server.url)).kind == "tls"


async def test_environment_gives_no_proxy_and_no_password(wire, name, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("default login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        await wire.fetch(backend, server.url)
        assert server.arrived[0].all("authorization") == []


@pytest.mark.parametrize("name", ["aiohttp", "requests"])
async def test_http_2_is_refused_where_it_is_not_spoken(wire, name):
    pytest.importorskip(name)
    with pytest.raises(OptionError, match="http2=True is not possible"):
        open_backend(SessionKey(name, http2=True))


@pytest.mark.parametrize("name", ["curl", "niquests"])
@pytest.mark.parametrize("protocols", [["http/1.1"], None])
async def test_http_2_required_of_a_server_without_it_is_an_error(wire, name, server_tls, bundle, protocols):
    if protocols is None:
        # Nothing is agreed on at all.
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme_authority = trustme.CA()
        trustme_authority.issue_cert("127.0.0.1").configure_cert(server_tls)
        trustme_authority.cert_pem.write_to_path(bundle)
    async with (
        wire.listening(wire.answering(wire.OK), server_tls) as server,
        wire.session(name, verify=bundle, http2=True) as backend,
    ):
        error = await wire.failure(backend, server.url)
        assert (error.kind, error.sent, server.arrived) == ("protocol", False, [])
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name, http2=True) as backend:
        assert (await wire.failure(backend, server.url)).kind == "protocol"


async def test_alt_svc_moves_nobody(wire, name, server_tls, bundle):
    answer = b'HTTP/1.1 200 OK\r\nAlt-Svc: h3=":443"; ma=86400, h2=":1"\r\nContent-Length: 2\r\n\r\nhi'
    async with wire.listening(wire.answering(answer), server_tls) as server, wire.session(name, verify=bundle) as backend:
        for _ in range(3):
            await wire.fetch(backend, server.url)
        assert (server.connections, len(server.arrived)) == (1, 3)


async def test_encrypted_key_is_refused_without_asking(wire, name, tmp_path):
    from cryptography.hazmat.primitives import serialization

    identity = trustme.CA().issue_cert("client@example.org")
    key = serialization.load_pem_private_key(identity.private_key_pem.bytes(), None)
    locked = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw"))
    (tmp_path / "both.pem").write_bytes(identity.cert_chain_pems[0].bytes() + locked)
    with pytest.raises(OptionError, match="unencrypted"):
        open_backend(SessionKey(name, cert=str(tmp_path / "both.pem")))
