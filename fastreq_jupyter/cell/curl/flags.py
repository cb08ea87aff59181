"""The options of curl that are known here: what each becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COSMETIC", "FLAGS", "LEFT_OUT", "LIFTED", "REFUSED", "SHORT", "Action", "Flag", "Lifted"]

Action = Literal[
    "url", "method", "header", "data", "data-raw", "data-binary", "data-urlencode", "json", "form", "form-string", "get", "head",
    "user", "bearer", "cookie", "agent", "referer", "range", "globoff", "url-query", "upload", "key",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flag:
    """What an option does to the request, and whether it takes a value."""

    action: Action
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Lifted:
    """The option of the run that an option stands for: its own value, or the one of a switch."""

    option: str
    value: Any = None
    takes: bool = True


FLAGS: Mapping[str, Flag] = {
    "--url": Flag("url"), "--request": Flag("method"), "--header": Flag("header"), "--data": Flag("data"),
    "--data-ascii": Flag("data"), "--data-raw": Flag("data-raw"), "--data-binary": Flag("data-binary"),
    "--data-urlencode": Flag("data-urlencode"), "--json": Flag("json"), "--form": Flag("form"), "--form-string": Flag("form-string"),
    "--get": Flag("get", takes=False), "--head": Flag("head", takes=False), "--user": Flag("user"), "--oauth2-bearer": Flag("bearer"),
    "--cookie": Flag("cookie"), "--user-agent": Flag("agent"), "--referer": Flag("referer"), "--range": Flag("range"),
    "--globoff": Flag("globoff", takes=False), "--url-query": Flag("url-query"), "--upload-file": Flag("upload"), "--key": Flag("key"),
}  # fmt: skip

LIFTED: Mapping[str, Lifted] = {
    "--insecure": Lifted("verify_ssl", value=False, takes=False), "--cacert": Lifted("verify_ssl"), "--cert": Lifted("cert"),
    "--proxy": Lifted("proxy"), "--max-time": Lifted("timeout"), "--max-redirs": Lifted("max_redirects"),
    "--retry": Lifted("max_retries"), "--max-filesize": Lifted("max_body"),
    "--http1.1": Lifted("http2", value=False, takes=False),
    "--no-location": Lifted("follow_redirects", value=False, takes=False),
}  # fmt: skip

COSMETIC: Mapping[str, bool] = {
    # What they change is curl's own output, or what a run does anyway; and whether they take a value.
    **dict.fromkeys((
        "--silent", "--show-error", "--verbose", "--include", "--show-headers", "--progress-bar", "--no-progress-meter", "--location",
        "--compressed", "--fail", "--fail-with-body", "--fail-early", "--no-buffer", "--basic", "--no-keepalive", "--disable",
        "--styled-output", "--no-styled-output", "--http2", "--tlsv1", "--tlsv1.0", "--tlsv1.1", "--tlsv1.2", "--ssl-no-revoke",
        "--ssl-reqd", "--ssl", "--tcp-nodelay", "--tcp-fastopen", "--parallel", "--parallel-immediate", "--retry-connrefused",
        "--trace-time", "--trace-ids", "--junk-session-cookies", "--no-sessionid", "--suppress-connect-headers", "--remove-on-error",
    ), False),
    **dict.fromkeys(("--stderr", "--trace", "--trace-ascii", "--expect100-timeout", "--keepalive-time"), True),
}  # fmt: skip

LEFT_OUT: Mapping[str, tuple[bool, str]] = {
    # What is asked for beside the request: whether it takes a value, and what to use here.
    "--output": (True, "--save-to DIR keeps bodies as files"), "--remote-name": (False, "--save-to DIR keeps bodies as files"),
    "--remote-name-all": (False, "--save-to DIR keeps bodies as files"), "--output-dir": (True, "--save-to DIR keeps bodies as files"),
    "--remote-header-name": (False, "--save-to DIR keeps bodies as files"), "--create-dirs": (False, "--save-to makes its directories"),
    "--write-out": (True, "status and times are columns of the frame"), "--dump-header": (True, "--response-headers gives them"),
    "--cookie-jar": (True, "--session keeps cookies"), "--ipv4": (False, "the system chooses the address"),
    "--ipv6": (False, "the system chooses the address"), "--connect-timeout": (True, "--timeout is the deadline of a whole attempt"),
    "--retry-delay": (True, "waits grow by themselves, and Retry-After is heard"), "--retry-max-time": (True, "--deadline bounds the run"),
    "--retry-all-errors": (False, "the run decides what is tried again"), "--parallel-max": (True, "--concurrency bounds the run"),
    "--etag-save": (True, "--response-headers gives it"),
}  # fmt: skip

REFUSED: Mapping[str, str] = {
    "--digest": "only Basic and bearer credentials",
    "--ntlm": "only Basic and bearer credentials", "--negotiate": "only Basic and bearer credentials",
    "--anyauth": "only Basic and bearer credentials", "--aws-sigv4": "only Basic and bearer credentials",
    "--netrc": "netrc is never read", "--netrc-file": "netrc is never read", "--netrc-optional": "netrc is never read",
    "--location-trusted": "secrets never follow to another host", "--http3": "HTTP/1.1 and HTTP/2 only",
    "--http3-only": "HTTP/1.1 and HTTP/2 only", "--http1.0": "HTTP/1.1 and HTTP/2 only", "--http0.9": "HTTP/1.1 and HTTP/2 only",
    "--http2-prior-knowledge": "HTTP/2 is agreed on over TLS",
    "--pass": "give the run a key without passphrase", "--cert-type": "certificates are PEM files", "--key-type": "keys are PEM files",
    "--capath": "give the run --ca FILE", "--noproxy": "set NO_PROXY, which proxy env reads",
    "--proxy-user": "put them into the proxy's URL",
    "--proxy-insecure": "the proxy's certificate is verified", "--proxy-header": "headers are for the server",
    "--socks5": "give --proxy socks5://host:port", "--socks5-hostname": "give --proxy socks5://host:port",
    "--socks4": "give --proxy socks5://host:port", "--preproxy": "give --proxy socks5://host:port",
    "--resolve": "names are resolved by the system", "--connect-to": "names are resolved by the system",
    "--dns-servers": "names are resolved by the system", "--doh-url": "names are resolved by the system",
    "--interface": "the system chooses the interface", "--local-port": "the system chooses the port",
    "--unix-socket": "requests go over TCP", "--abstract-unix-socket": "requests go over TCP",
    "--limit-rate": "--rate-limit counts requests a second", "--rate": "give the run --rate-limit", "--speed-limit": "use --max-time",
    "--speed-time": "use --max-time",
    "--config": "options stand in the command", "--request-target": "the URL is the target",
    "--path-as-is": "dot segments of a path are removed, as without it", "--ciphers": "TLS is the library's",
    "--tls13-ciphers": "TLS is the library's",
    "--tlsv1.3": "TLS is the library's", "--tls-max": "TLS is the library's",
    "--pinnedpubkey": "TLS is the library's",
    "--proto": "only http and https are ever requested", "--proto-default": "write http:// or https://",
    "--proto-redir": "only http and https are ever requested", "--raw": "bodies are decoded", "--tr-encoding": "bodies are decoded",
    "--ignore-content-length": "bodies are read whole or not at all", "--continue-at": "bodies are read whole or not at all",
    "--time-cond": "write an If-Modified-Since header", "--etag-compare": "write an If-None-Match header",
    "--post301": "redirects follow the standard", "--post302": "redirects follow the standard",
    "--post303": "redirects follow the standard",
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
