"""Reads ``curl`` commands as browsers and API documents write them.

Each option is honoured, is known to change nothing that we give, becomes an option of the run, or is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.cell.curl.request import CurlRequest
from fastreq_jupyter.cell.curl.words import read_commands
from fastreq_jupyter.cell.syntax import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastreq_jupyter.cell.syntax import RequestTemplate

Action = Literal[
    "url", "method", "header", "data", "data-raw", "data-binary", "data-urlencode", "json", "form", "form-string", "get", "head",
    "user", "bearer", "cookie", "agent", "referer", "range", "globoff", "url-query", "upload", "key", "digest", "ntlm",
]  # fmt: skip

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2212")
_POWERSHELL = frozenset({"-Uri", "-Method", "-Headers", "-Body", "-ContentType", "-OutFile", "-UseBasicParsing"})
_COMMAND = re.compile(r"(?:\$[ \t]+)?curl(?:\.exe)?(?:[ \t^`\\]|\Z)")


@dataclass(frozen=True, slots=True)
class Flag:
    """What an option does to the request, and whether it takes a value."""

    action: Action
    takes: bool = True


@dataclass(frozen=True, slots=True)
class RunOption:
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
    "--digest": Flag("digest", takes=False), "--ntlm": Flag("ntlm", takes=False),
}  # fmt: skip

RUN_OPTIONS: Mapping[str, RunOption] = {
    "--insecure": RunOption("verify_ssl", value=False, takes=False), "--cacert": RunOption("verify_ssl"), "--cert": RunOption("cert"),
    "--proxy": RunOption("proxy"), "--max-time": RunOption("timeout"),
    "--connect-timeout": RunOption("connect_timeout"), "--max-redirs": RunOption("max_redirects"),
    "--retry": RunOption("max_retries"), "--max-filesize": RunOption("max_body"),
    "--http1.1": RunOption("http2", value=False, takes=False),
    "--no-location": RunOption("follow_redirects", value=False, takes=False),
}  # fmt: skip

COSMETIC: Mapping[str, bool] = {
    # Options that change curl's own output, or do what a run does anyway; and whether they take a value.
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
    # Options that concern no request: whether they take a value, and what to use here.
    "--output": (True, "--save-to DIR keeps bodies as files"), "--remote-name": (False, "--save-to DIR keeps bodies as files"),
    "--remote-name-all": (False, "--save-to DIR keeps bodies as files"), "--output-dir": (True, "--save-to DIR keeps bodies as files"),
    "--remote-header-name": (False, "--save-to DIR keeps bodies as files"), "--create-dirs": (False, "--save-to makes its directories"),
    "--write-out": (True, "status and times are columns of the frame"), "--dump-header": (True, "--response-headers gives them"),
    "--cookie-jar": (True, "--session keeps cookies"), "--ipv4": (False, "the system chooses the address"),
    "--ipv6": (False, "the system chooses the address"),
    "--retry-delay": (True, "waits grow by themselves, and Retry-After is heard"), "--retry-max-time": (True, "--deadline bounds the run"),
    "--retry-all-errors": (False, "the run decides what is tried again"), "--parallel-max": (True, "--concurrency bounds the run"),
    "--etag-save": (True, "--response-headers gives it"),
}  # fmt: skip

REFUSED: Mapping[str, str] = {
    "--negotiate": "give the run --auth NAME, the name of a variable with Negotiate()",
    "--anyauth": "say which: --basic, --digest, --ntlm or a bearer token",
    "--aws-sigv4": "give the run --auth NAME, the name of a variable with SigV4(service, region)",
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


def is_curl(text: str) -> bool:
    """Tell whether a line begins a curl command."""
    return text[:4] in ("curl", "$ cu") and _COMMAND.match(text) is not None


def read_curl(lines: Sequence[str], start: int, first_line: int) -> tuple[list[RequestTemplate], int, list[str]]:
    """Read the commands that begin at ``lines[start]``.

    Returns:
        Their requests, one for each URL, the number of lines they take, and what of them is not done.

    Raises:
        CellSyntaxError: It is no command, or asks for something that would not be done.
    """
    commands = read_commands(lines, start, first_line)
    templates: list[RequestTemplate] = []
    for words in commands.words:
        templates += _templates(words, commands.notes)
    return templates, commands.lines_taken, commands.notes


def _templates(words: Sequence[Span], notes: list[str]) -> list[RequestTemplate]:
    command = words[0]
    templates: list[RequestTemplate] = []
    request = CurlRequest(command)
    queue = list(words[:0:-1])
    while queue:
        word = queue.pop()
        if word.text in ("--next", "-:"):
            templates += request.templates()
            request = CurlRequest(command)
        elif word.text[:1] in _DASHES:
            raise word.error(f"{word.text[0]} is a typographic dash: write - (or --)")
        elif word.text in _POWERSHELL:
            raise word.error(f"{word.text} is of PowerShell's own curl: copy the request as cURL (bash)")
        elif word.text.startswith("--") and len(word.text) > 2:
            _read_long(word, queue, request)
        elif word.text.startswith("-") and len(word.text) > 1:
            _read_short(word, queue, request)
        else:
            request.add("url", word, word)
    templates += request.templates()
    notes += dict.fromkeys(request.notes)
    return templates


def _read_long(word: Span, queue: list[Span], request: CurlRequest) -> None:
    name, equals, value = word.text.partition("=")
    if equals and _takes_value(name):
        # curl itself does not read --name=value, but people write it.
        queue.append(Span(value, *word.at(len(name) + 1)))
        word = Span(name, word.line, word.column)
    _apply(word.text, word, queue, request)


def _read_short(word: Span, queue: list[Span], request: CurlRequest) -> None:
    for place in range(1, len(word.text)):
        letter = word.text[place]
        name = SHORT.get(f"-{letter}")
        at = Span(f"-{letter}", *word.at(place))
        if name is None:
            raise at.error(f"unknown curl option -{letter}")
        rest = word.text[place + 1 :]
        if _takes_value(name):
            if rest:
                queue.append(Span(rest, *word.at(place + 1)))
            _apply(name, at, queue, request)
            return
        _apply(name, at, queue, request)


def _takes_value(name: str) -> bool:
    if name in LEFT_OUT:
        return LEFT_OUT[name][0]
    flag = FLAGS.get(name) or RUN_OPTIONS.get(name)
    return flag.takes if flag is not None else COSMETIC.get(name, False)


def _apply(name: str, at: Span, queue: list[Span], request: CurlRequest) -> None:
    if name in COSMETIC or name in LEFT_OUT:
        value = _value(name, at, queue).text if _takes_value(name) else ""
        if name in LEFT_OUT and value not in ("/dev/null", "NUL", "-"):
            request.notes.append(f"line {at.line}: curl's {name} is left out: {LEFT_OUT[name][1]}")
        return
    if name in FLAGS:
        flag = FLAGS[name]
        request.add(flag.action, at, _value(name, at, queue) if flag.takes else at)
        return
    if name in RUN_OPTIONS:
        run_option = RUN_OPTIONS[name]
        request.ask_for(run_option.option, at, _value(name, at, queue).text if run_option.takes else run_option.value)
        return
    if name in REFUSED:
        raise at.error(f"curl's {name} cannot be honoured: {REFUSED[name]}")
    near = get_close_matches(name, [*FLAGS, *RUN_OPTIONS, *COSMETIC, *LEFT_OUT], n=1, cutoff=0.75)
    raise at.error(f"unknown curl option {name[:60]}" + (f": did you mean {near[0]}?" if near else ""))


def _value(name: str, at: Span, queue: list[Span]) -> Span:
    if not queue:
        raise at.error(f"curl's {name} needs a value")
    return queue.pop()
