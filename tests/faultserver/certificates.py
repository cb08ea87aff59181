"""Certificates of a private authority, made once per process: good, self-signed, expired, for another host."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

__all__ = ["KINDS", "ca_file", "client_files", "server_context", "watched_context"]

KINDS = ("good", "selfsigned", "stranger", "expired", "wronghost", "client")
NAMES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "localhost")


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="faultserver-"))


@cache
def ca_file() -> str:
    """Return the PEM file of the authority that signed the good certificates."""
    path = _folder() / "ca.pem"
    _authority().cert_pem.write_to_path(path)
    return str(path)


@cache
def client_files() -> tuple[str, str]:
    """Return a client certificate and its key, as PEM files."""
    issued = _authority().issue_cert("client@example.test")
    certificate, key = _folder() / "client.pem", _folder() / "client.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return str(certificate), str(key)


def _self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]), critical=False
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, *plain
    )
    path = _folder() / "selfsigned.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@cache
def watched_context(url: str) -> tuple[ssl.SSLContext, str]:
    """Return a server context whose certificate names `url` for OCSP and CRLs, and the PEM file of its authority."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("watching authority", "127.0.0.1")]
    built = []
    for is_leaf in (0, 1):
        builder = x509.CertificateBuilder().subject_name(names[is_leaf]).issuer_name(names[0]).public_key(keys[is_leaf].public_key())
        builder = (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[is_leaf].public_key()), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
        for extension in _leaf_extensions(url) if is_leaf else ():
            builder = builder.add_extension(extension, critical=False)
        built.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = keys[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    folder = Path(tempfile.mkdtemp(prefix="faultserver-"))
    (folder / "leaf.pem").write_bytes(built[1] + plain)
    (folder / "ca.pem").write_bytes(built[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    return context, str(folder / "ca.pem")


def _leaf_extensions(url: str) -> tuple[x509.ExtensionType, ...]:
    where = x509.UniformResourceIdentifier(url)
    return (
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)]),
        x509.CRLDistributionPoints([x509.DistributionPoint([where], None, None, None)]),
    )


@cache
def server_context(kind: str) -> ssl.SSLContext:
    """Return the server's side of TLS: `good`, `selfsigned`, `stranger` (another authority), `expired`, `wronghost`, `client` (asks for one)."""
    if kind == "selfsigned":
        return _self_signed()
    authority = trustme.CA() if kind == "stranger" else _authority()
    names = ("elsewhere.example",) if kind == "wronghost" else NAMES
    now = datetime.now(UTC)
    past = {"not_before": now - timedelta(days=30), "not_after": now - timedelta(days=1)} if kind == "expired" else {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **past).configure_cert(context)
    if kind == "client":
        _authority().configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
