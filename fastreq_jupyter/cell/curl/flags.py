"""The options of curl that are known here: what each becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COSMETIC", "FLAGS", "LIFTED", "REFUSED", "SHORT", "Action", "Flag", "Lifted"]

Action = Literal[
    "url", "method", "header", "data", "data-raw", "data-binary", "data-urlencode", "json", "form", "form-string", "get", "head",
    "user", "bearer", "cookie", "agent", "referer", "range", "globoff", "url-query",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flag:
    """Name what an option does to the request, and whether it takes a value."""

    action: Action
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Lifted:
    """Name the option of the run that an option stands for: its own value, or the one of a switch."""

    option: str
    value: Any = None
    takes: bool = True


FLAGS: Mapping[str, Flag] = {
    "--url": Flag("url"), "--request": Flag("method"), "--header": Flag("header"), "--data": Flag("data"),
    "--data-ascii": Flag("data"), "--data-raw": Flag("data-raw"), "--data-binary": Flag("data-binary"),
    "--data-urlencode": Flag("data-urlencode"), "--json": Flag("json"), "--form": Flag("form"), "--form-string": Flag("form-string"),
    "--get": Flag("get", takes=False), "--head": Flag("head", takes=False), "--user": Flag("user"), "--oauth2-bearer": Flag("bearer"),
    "--cookie": Flag("cookie"), "--user-agent": Flag("agent"), "--referer": Flag("referer"), "--range": Flag("range"),
    "--globoff": Flag("globoff", takes=False), "--url-query": Flag("url-query"),
}  # fmt: skip

LIFTED: Mapping[str, Lifted] = {
    "--insecure": Lifted("verify_ssl", value=False, takes=False), "--cacert": Lifted("verify_ssl"), "--cert": Lifted("cert"),
    "--proxy": Lifted("proxy"), "--max-time": Lifted("timeout"), "--connect-timeout": Lifted("connect_timeout"),
    "--max-redirs": Lifted("max_redirects"),
    "--retry": Lifted("max_retries"), "--max-filesize": Lifted("max_body"),
    "--http2": Lifted("http2", value=True, takes=False), "--http1.1": Lifted("http2", value=False, takes=False),
    "--no-location": Lifted("follow_redirects", value=False, takes=False),
}  # fmt: skip

COSMETIC: frozenset[str] = frozenset({
    # What they change is curl's own output, or what a run does anyway.
    "--silent", "--show-error", "--verbose", "--include", "--show-headers",
    "--progress-bar", "--no-progress-meter", "--location", "--compressed", "--fail",
    "--fail-with-body", "--no-buffer", "--basic", "--no-keepalive", "--disable",
    "--styled-output", "--no-styled-output",
})  # fmt: skip

REFUSED: Mapping[str, str] = {
    "--output": "give the run --save-to", "--remote-name": "give the run --save-to", "--remote-name-all": "give the run --save-to",
    "--output-dir": "give the run --save-to", "--remote-header-name": "give the run --save-to", "--create-dirs": "give the run --save-to",
    "--write-out": "status and times are columns of the frame", "--dump-header": "use --response-headers",
    "--upload-file": "write PUT URL, a blank line and < file", "--cookie-jar": "use --session, which keeps cookies",
    "--junk-session-cookies": "a run starts without cookies",
    "--digest": "only Basic and bearer credentials",
    "--ntlm": "only Basic and bearer credentials", "--negotiate": "only Basic and bearer credentials",
    "--anyauth": "only Basic and bearer credentials", "--aws-sigv4": "only Basic and bearer credentials",
    "--netrc": "netrc is never read", "--netrc-file": "netrc is never read", "--netrc-optional": "netrc is never read",
    "--location-trusted": "secrets never follow to another host", "--http3": "HTTP/1.1 and HTTP/2 only",
    "--http3-only": "HTTP/1.1 and HTTP/2 only", "--http1.0": "HTTP/1.1 and HTTP/2 only", "--http0.9": "HTTP/1.1 and HTTP/2 only",
    "--http2-prior-knowledge": "HTTP/2 is agreed on over TLS", "--key": "give the run cert=(certificate, key)",
    "--pass": "give the run a key without passphrase", "--cert-type": "certificates are PEM files", "--key-type": "keys are PEM files",
    "--capath": "give the run --ca FILE", "--noproxy": "set NO_PROXY, which proxy env reads",
    "--proxy-user": "put them into the proxy's URL",
    "--proxy-insecure": "the proxy's certificate is verified", "--proxy-header": "headers are for the server",
    "--socks5": "give --proxy socks5://host:port", "--socks5-hostname": "give --proxy socks5://host:port",
    "--socks4": "give --proxy socks5://host:port", "--preproxy": "give --proxy socks5://host:port",
    "--resolve": "names are resolved by the system", "--connect-to": "names are resolved by the system",
    "--dns-servers": "names are resolved by the system", "--doh-url": "names are resolved by the system",
    "--interface": "the system chooses the interface", "--local-port": "the system chooses the port",
    "--ipv4": "the system chooses the address", "--ipv6": "the system chooses the address",
    "--unix-socket": "requests go over TCP", "--abstract-unix-socket": "requests go over TCP",
    "--limit-rate": "--rate-limit counts requests a second", "--rate": "give the run --rate-limit", "--speed-limit": "use --max-time",
    "--speed-time": "use --max-time", "--retry-delay": "waits grow by themselves, Retry-After is heard",
    "--retry-max-time": "give the run --deadline", "--retry-all-errors": "the run decides what is tried again",
    "--retry-connrefused": "failed connections are tried again anyway", "--parallel": "requests of a run go in parallel",
    "--parallel-max": "give the run --concurrency", "--config": "options stand in the command", "--request-target": "the URL is the target",
    "--path-as-is": "the URL is sent as it stands, dots included", "--ciphers": "TLS is the library's",
    "--tls13-ciphers": "TLS is the library's",
    "--tlsv1": "TLS is the library's", "--tlsv1.0": "TLS is the library's", "--tlsv1.1": "TLS is the library's",
    "--tlsv1.2": "TLS is the library's", "--tlsv1.3": "TLS is the library's", "--tls-max": "TLS is the library's",
    "--ssl-no-revoke": "TLS is the library's", "--ssl-reqd": "TLS is the library's", "--pinnedpubkey": "TLS is the library's",
    "--proto": "only http and https are ever requested", "--proto-default": "write http:// or https://",
    "--proto-redir": "only http and https are ever requested", "--raw": "bodies are decoded", "--tr-encoding": "bodies are decoded",
    "--ignore-content-length": "bodies are read whole or not at all", "--continue-at": "bodies are read whole or not at all",
    "--time-cond": "write an If-Modified-Since header", "--etag-compare": "write an If-None-Match header",
    "--etag-save": "use --response-headers",
    "--trace": "--timings gives the phases", "--trace-ascii": "--timings gives the phases", "--trace-time": "--timings gives the phases",
    "--stderr": "there is no such output", "--post301": "redirects follow the standard", "--post302": "redirects follow the standard",
    "--post303": "redirects follow the standard", "--expect100-timeout": "bodies are sent at once",
    "--no-alpn": "HTTP/2 is agreed on over TLS",
    "--no-compressed": "bodies may come compressed", "--form-escape": "names are encoded as browsers do",
    "--variable": "write @name = value and {{name}}",
}  # fmt: skip

SHORT: Mapping[str, str] = {
    "-X": "--request", "-H": "--header", "-d": "--data", "-F": "--form", "-G": "--get", "-I": "--head", "-u": "--user", "-b": "--cookie",
    "-A": "--user-agent", "-e": "--referer", "-r": "--range", "-g": "--globoff", "-k": "--insecure", "-x": "--proxy", "-m": "--max-time",
    "-E": "--cert", "-s": "--silent", "-S": "--show-error", "-v": "--verbose", "-i": "--include", "-#": "--progress-bar",
    "-L": "--location", "-f": "--fail", "-N": "--no-buffer", "-q": "--disable", "-o": "--output", "-O": "--remote-name",
    "-J": "--remote-header-name", "-w": "--write-out", "-D": "--dump-header", "-T": "--upload-file", "-c": "--cookie-jar",
    "-j": "--junk-session-cookies", "-n": "--netrc", "-0": "--http1.0", "-4": "--ipv4", "-6": "--ipv6", "-U": "--proxy-user",
    "-K": "--config", "-C": "--continue-at", "-z": "--time-cond", "-Z": "--parallel", "-y": "--speed-time", "-Y": "--speed-limit",
    "-1": "--tlsv1",
}  # fmt: skip
