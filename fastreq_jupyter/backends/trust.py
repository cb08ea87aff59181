"""TLS contexts, the same on each backend: trusted authorities and the client certificate.

``verify=True`` trusts what the system trusts (`SSLContext.load_default_certs`); where Python finds no certificates at all
(some macOS and embedded builds) those of certifi are taken. Neither REQUESTS_CA_BUNDLE nor CURL_CA_BUNDLE is read by itself, but
the file that one of them names is offered where an authority is not known.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.backends.base import SessionKey

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNKNOWN_AUTHORITY = re.compile("issuer|self-? ?signed", re.IGNORECASE)


class NamedContext(ssl.SSLContext):
    """A TLS context for which the dot at a host's end is no part of its name (RFC 6066, 3): not in SNI, not in the certificate."""

    def wrap_socket(self, *args: Any, server_hostname: Any = None, **options: Any) -> ssl.SSLSocket:
        """Begin TLS on a socket."""
        return super().wrap_socket(*args, server_hostname=server_hostname and server_hostname.rstrip("."), **options)  # type: ignore[misc] # it is named

    def wrap_bio(self, *args: Any, server_hostname: Any = None, **options: Any) -> ssl.SSLObject:
        """Begin TLS in memory."""
        return super().wrap_bio(*args, server_hostname=server_hostname and server_hostname.rstrip("."), **options)  # type: ignore[misc] # it is named


def client_context(
    key: SessionKey,
    protocols: Sequence[str] = ("http/1.1",),
    *,
    make: Callable[[int], ssl.SSLContext] = NamedContext,
) -> ssl.SSLContext:
    """Make the TLS context of a session.

    Args:
        key: Its `verify` and `cert` are used.
        protocols: What to offer by ALPN, best first.
        make: Makes it: `NamedContext` or a class derived from it.

    Raises:
        OptionError: A CA bundle or client certificate cannot be read.
    """
    make_context = _trusting if key.verify is True and key.cert is None else _trusting.__wrapped__
    return make_context(key.verify, key.cert, tuple(protocols), make)


def authorities(verify: bool | str) -> tuple[str | None, str | None]:  # noqa: FBT001 - the type of the option
    """Return the file and the directory of certificates to trust, for a library that reads them itself.

    Args:
        verify: True, or the path of a CA bundle.
    """
    if isinstance(verify, str):
        return (None, verify) if Path(verify).is_dir() else (verify, None)
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not _system_directory():
        return _certifi(), None
    return paths.cafile, paths.capath


def offered_bundle(detail: str) -> str:
    """Return what is said behind a verification that failed, empty where its cause is another or no variable names a file.

    Args:
        detail: What the library said.
    """
    if _UNKNOWN_AUTHORITY.search(detail) is None:
        return ""
    named = next((name for name in _VARIABLES if (path := os.environ.get(name)) and Path(path).exists()), None)
    return "" if named is None else f"; {named} is not read by itself: verify_ssl={os.environ[named]!r} (--ca) trusts what it names"


# Reading the system's certificates takes 20 to 50 ms; the context is never changed, so sessions share it.
@lru_cache(maxsize=4)
def _trusting(
    verify: bool | str,  # noqa: FBT001 - the type of the option
    cert: str | tuple[str, str] | None,
    protocols: tuple[str, ...],
    make: Callable[[int], ssl.SSLContext],
) -> ssl.SSLContext:
    context = make(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(list(protocols))
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif verify is True:
        context.load_default_certs()
        if sys.version_info >= (3, 13):
            # As `ssl.create_default_context` does.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        if not context.cert_store_stats()["x509_ca"] and not _system_directory() and (bundle := _certifi()):
            context.load_verify_locations(cafile=bundle)
    else:
        file, folder = authorities(verify)
        try:
            context.load_verify_locations(file, folder)
        except (OSError, ssl.SSLError) as error:
            raise OptionError(f"verify_ssl={verify!r} cannot be read as a CA bundle: {_why(error)}") from None
    if cert is not None:
        chain, private = (cert, None) if isinstance(cert, str) else cert
        try:
            # For an encrypted key OpenSSL would ask for the password on the terminal.
            context.load_cert_chain(chain, private, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            message = f"cert={chain!r} cannot be read as a client certificate with its unencrypted key: {_why(error)}"
            raise OptionError(message) from None
    return context


def _system_directory() -> bool:
    # Certificates of a directory are read on demand, so the store looks empty before the first handshake.
    directory = ssl.get_default_verify_paths().capath
    return directory is not None and any(Path(directory).iterdir())


def _certifi() -> str | None:
    try:
        import certifi  # noqa: PLC0415 - a last resort that is often not installed
    except ImportError:
        return None
    return str(certifi.where())


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error).splitlines()[0]
