"""Reads ``curl`` commands as browsers and API documents write them.

Each option is honoured, is known to change nothing that we give, becomes an option of the run, or is refused by name.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.curl.request import CurlRequest
from fastreq_jupyter.cell.curl.words import read_commands
from fastreq_jupyter.cell.syntax import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastreq_jupyter.cell.syntax import RequestTemplate

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2212")
_POWERSHELL = frozenset({"-Uri", "-Method", "-Headers", "-Body", "-ContentType", "-OutFile", "-UseBasicParsing"})
_COMMAND = re.compile(r"(?:\$[ \t]+)?curl(?:\.exe)?(?:[ \t^`\\]|\Z)")

# Options that change the request.
_REQUEST = frozenset({
    "--url", "--request", "--header", "--data", "--data-ascii", "--data-raw", "--data-binary", "--data-urlencode", "--json", "--form",
    "--form-string", "--get", "--head", "--user", "--oauth2-bearer", "--cookie", "--user-agent", "--referer", "--range", "--globoff",
    "--url-query", "--upload-file", "--key", "--digest", "--ntlm",
})  # fmt: skip

# Options that stand for an option of the run, and what a switch sets it to.
_RUN_OPTIONS: Mapping[str, tuple[str, bool | None]] = {
    "--insecure": ("verify_ssl", False), "--cacert": ("verify_ssl", None), "--cert": ("cert", None), "--proxy": ("proxy", None),
    "--max-time": ("timeout", None), "--connect-timeout": ("connect_timeout", None), "--max-redirs": ("max_redirects", None),
    "--retry": ("max_retries", None), "--max-filesize": ("max_body", None), "--http1.1": ("http2", False),
    "--no-location": ("follow_redirects", False),
}  # fmt: skip

# Options that change curl's own output, or do what a run does anyway.
_COSMETIC = frozenset({
    "--silent", "--show-error", "--verbose", "--include", "--show-headers", "--progress-bar", "--no-progress-meter", "--location",
    "--compressed", "--fail", "--fail-with-body", "--fail-early", "--no-buffer", "--basic", "--no-keepalive", "--disable",
    "--styled-output", "--no-styled-output", "--http2", "--tlsv1", "--tlsv1.0", "--tlsv1.1", "--tlsv1.2", "--ssl-no-revoke", "--ssl-reqd",
    "--ssl", "--tcp-nodelay", "--tcp-fastopen", "--parallel", "--parallel-immediate", "--retry-connrefused", "--trace-time", "--trace-ids",
    "--junk-session-cookies", "--no-sessionid", "--suppress-connect-headers", "--remove-on-error", "--stderr", "--trace", "--trace-ascii",
    "--expect100-timeout", "--keepalive-time",
})  # fmt: skip

# Options that concern no request, and what to use here.
_LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(
        ("--output", "--remote-name", "--remote-name-all", "--output-dir", "--remote-header-name"), "--save-to DIR keeps bodies as files"
    ),
    "--create-dirs": "--save-to makes its directories", "--write-out": "status and times are columns of the frame",
    "--dump-header": "--response-headers gives them", "--cookie-jar": "--session keeps cookies", "--ipv4": "the system chooses the address",
    "--ipv6": "the system chooses the address", "--retry-delay": "waits grow by themselves, and Retry-After is heard",
    "--retry-max-time": "--deadline bounds the run", "--retry-all-errors": "the run decides what is tried again",
    "--parallel-max": "--concurrency bounds the run", "--etag-save": "--response-headers gives it",
}  # fmt: skip

_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("--netrc", "--netrc-file", "--netrc-optional"), "netrc is never read"),
    **dict.fromkeys(("--http3", "--http3-only", "--http1.0", "--http0.9"), "HTTP/1.1 and HTTP/2 only"),
    **dict.fromkeys(("--http2-prior-knowledge", "--no-alpn"), "HTTP/2 is agreed on over TLS"),
    **dict.fromkeys(("--socks5", "--socks5-hostname", "--socks4", "--preproxy"), "give --proxy socks5://host:port"),
    **dict.fromkeys(("--resolve", "--connect-to", "--dns-servers", "--doh-url"), "names are resolved by the system"),
    **dict.fromkeys(("--unix-socket", "--abstract-unix-socket"), "requests go over TCP"),
    **dict.fromkeys(("--speed-limit", "--speed-time"), "use --max-time"),
    **dict.fromkeys(("--ciphers", "--tls13-ciphers", "--tlsv1.3", "--tls-max", "--pinnedpubkey"), "TLS is the library's"),
    **dict.fromkeys(("--proto", "--proto-redir"), "only http and https are ever requested"),
    **dict.fromkeys(("--raw", "--tr-encoding"), "bodies are decoded"),
    **dict.fromkeys(("--ignore-content-length", "--continue-at"), "bodies are read whole or not at all"),
    **dict.fromkeys(("--post301", "--post302", "--post303"), "redirects follow the standard"),
    "--negotiate": "give the run --auth NAME, the name of a variable with Negotiate()",
    "--anyauth": "say which: --basic, --digest, --ntlm or a bearer token",
    "--aws-sigv4": "give the run --auth NAME, the name of a variable with SigV4(service, region)",
    "--location-trusted": "secrets never follow to another host", "--pass": "give the run a key without passphrase",
    "--cert-type": "certificates are PEM files", "--key-type": "keys are PEM files", "--capath": "give the run --ca FILE",
    "--noproxy": "set NO_PROXY, which proxy env reads", "--proxy-user": "put them into the proxy's URL",
    "--proxy-insecure": "the proxy's certificate is verified", "--proxy-header": "headers are for the server",
    "--interface": "the system chooses the interface", "--local-port": "the system chooses the port",
    "--limit-rate": "--rate-limit counts requests a second", "--rate": "give the run --rate-limit",
    "--config": "options stand in the command", "--request-target": "the URL is the target",
    "--path-as-is": "dot segments of a path are removed, as without it", "--proto-default": "write http:// or https://",
    "--time-cond": "write an If-Modified-Since header", "--etag-compare": "write an If-None-Match header",
    "--no-compressed": "bodies may come compressed", "--form-escape": "names are encoded as browsers do",
    "--variable": "write @name = value and {{name}}",
}  # fmt: skip

_TAKE_A_VALUE = frozenset({
    "--url", "--request", "--header", "--data", "--data-ascii", "--data-raw", "--data-binary", "--data-urlencode", "--json", "--form",
    "--form-string", "--user", "--oauth2-bearer", "--cookie", "--user-agent", "--referer", "--range", "--url-query", "--upload-file",
    "--key", "--cacert", "--cert", "--proxy", "--max-time", "--connect-timeout", "--max-redirs", "--retry", "--max-filesize", "--stderr",
    "--trace", "--trace-ascii", "--expect100-timeout", "--keepalive-time", "--output", "--output-dir", "--write-out", "--dump-header",
    "--cookie-jar", "--retry-delay", "--retry-max-time", "--parallel-max", "--etag-save",
})  # fmt: skip
_KNOWN = (*_REQUEST, *_RUN_OPTIONS, *_COSMETIC, *_LEFT_OUT)

_SHORT: Mapping[str, str] = {
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
            request.add("--url", word, word)
    templates += request.templates()
    notes += dict.fromkeys(request.notes)
    return templates


def _read_long(word: Span, queue: list[Span], request: CurlRequest) -> None:
    name, equals, value = word.text.partition("=")
    if equals and name in _TAKE_A_VALUE:
        # curl itself does not read --name=value, but people write it.
        queue.append(Span(value, *word.at(len(name) + 1)))
        word = Span(name, word.line, word.column)
    _apply(word.text, word, queue, request)


def _read_short(word: Span, queue: list[Span], request: CurlRequest) -> None:
    for place in range(1, len(word.text)):
        letter = word.text[place]
        name = _SHORT.get(f"-{letter}")
        at = Span(f"-{letter}", *word.at(place))
        if name is None:
            raise at.error(f"unknown curl option -{letter}")
        rest = word.text[place + 1 :]
        if name in _TAKE_A_VALUE:
            if rest:
                queue.append(Span(rest, *word.at(place + 1)))
            _apply(name, at, queue, request)
            return
        _apply(name, at, queue, request)


def _apply(name: str, at: Span, queue: list[Span], request: CurlRequest) -> None:
    if name in _REFUSED:
        raise at.error(f"curl's {name} cannot be honoured: {_REFUSED[name]}")
    if name not in _KNOWN:
        near = get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
        raise at.error(f"unknown curl option {name[:60]}" + (f": did you mean {near[0]}?" if near else ""))
    if name in _TAKE_A_VALUE and not queue:
        raise at.error(f"curl's {name} needs a value")
    value = queue.pop() if name in _TAKE_A_VALUE else at
    if name in _REQUEST:
        request.add(name, at, value)
    elif name in _RUN_OPTIONS:
        option, setting = _RUN_OPTIONS[name]
        request.ask_for(option, at, value.text if setting is None else setting)
    elif name in _LEFT_OUT and value.text not in ("/dev/null", "NUL", "-"):
        request.notes.append(f"line {at.line}: curl's {name} is left out: {_LEFT_OUT[name]}")
