"""A server for large bodies: takes uploads without keeping them, gives files in parts, breaks off where it is told to.

PUT, POST /...        200, JSON: method, length, md5 and what the head said
/again/...            307 to the same path without "again"
/busy/...             503 the first time, then as without "busy"; what was sent is read first
/closed/...           the connection is closed after the first 100,000 bytes of the first upload
GET /files/NAME       `files[NAME]`: a `Served`
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

PIECE = 1 << 16


@dataclass
class Served:
    """One file of the server.

    Attributes:
        content: Its bytes, or how many zeros it has.
        headers: More field lines of its answers.
        ranges: Parts can be asked for.
        broken_after: Bytes of the file after which each answer, in turn, breaks off; None for one that does not.
        statuses: Status of each answer, in turn, in place of 200 or 206; 0 for these.
    """

    content: bytes | int = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    broken_after: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.content if isinstance(self.content, int) else len(self.content)

    def piece(self, start: int, stop: int) -> bytes:
        return bytes(stop - start) if isinstance(self.content, int) else self.content[start:stop]


@dataclass
class TransferServer:
    """Serve on 127.0.0.1 from threads; use as a context manager.

    Attributes:
        files: What it gives.
        heads: Of the requests that came, field names in lower case; ":" is the request line.
        sent: Bytes of bodies that left, for each path.
        held: Files wait after their first half, which `halfway` tells of, for `go_on`.
        ignore_if_range: Parts are given whatever validator they were asked for with.
    """

    files: dict[str, Served] = field(default_factory=dict)
    heads: list[dict[str, str]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    held: bool = False
    ignore_if_range: bool = False
    url: str = ""

    def __enter__(self) -> Self:
        self.halfway, self.go_on = threading.Event(), threading.Event()
        self._visits: Counter[str] = Counter()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            try:
                while self._one(connection, reader):
                    pass
            except OSError:
                return

    def _one(self, connection: socket.socket, reader) -> bool:
        line = reader.readline().decode("latin-1").strip()
        if not line:
            return False
        head = {":": line}
        while text := reader.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            head[name.lower()] = value.strip()
        self.heads.append(head)
        method, path, _ = line.split(" ")
        self._visits[path] += 1
        if method in ("PUT", "POST"):
            return self._take(connection, reader, method, path, head)
        return self._give(connection, path, head)

    def _take(self, connection: socket.socket, reader, method: str, path: str, head: dict[str, str]) -> bool:
        total, digest, length = int(head.get("content-length", 0)), hashlib.md5(), 0
        while length < total:
            data = reader.read(min(PIECE, total - length))
            if not data:
                return False
            digest.update(data)
            length += len(data)
            if path.startswith("/closed/") and self._visits[path] == 1 and length > 100_000:
                return False
        status, location = 200, ""
        if path.startswith("/again/"):
            status, location = 307, f"Location: {path.removeprefix('/again')}\r\n"
        elif path.startswith("/busy/") and self._visits[path] == 1:
            status = 503
        body = json.dumps({"method": method, "length": length, "md5": digest.hexdigest(), "head": head}).encode()
        connection.sendall(
            f"HTTP/1.1 {status} Some\r\nContent-Type: application/json\r\n{location}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        return True

    def _give(self, connection: socket.socket, path: str, head: dict[str, str]) -> bool:
        served = self.files[path.removeprefix("/files/").partition("?")[0]]
        visit = self._visits[path] - 1
        start, status = 0, 200
        lines = dict(served.headers)
        validators = {lines.get("ETag"), lines.get("Last-Modified")}
        if served.ranges and "range" in head and (self.ignore_if_range or head.get("if-range") in {None, *validators}):
            start, status = int(head["range"].removeprefix("bytes=").partition("-")[0]), 206
            lines["Content-Range"] = f"bytes {start}-{served.size - 1}/{served.size}"
        if visit < len(served.statuses) and served.statuses[visit]:
            status = served.statuses[visit]
        lines["Content-Length"] = str(served.size - start)
        connection.sendall(f"HTTP/1.1 {status} Some\r\n".encode() + b"".join(f"{n}: {v}\r\n".encode() for n, v in lines.items()) + b"\r\n")
        stop = served.broken_after[visit] if visit < len(served.broken_after) else None
        at, end = start, served.size if stop is None else stop
        while at < end:
            piece = served.piece(at, min(end, at + PIECE))
            # Counted before: who has it all may look at once.
            self.sent[path] += len(piece)
            connection.sendall(piece)
            at += len(piece)
            if self.held and at >= served.size // 2:
                self.halfway.set()
                self.go_on.wait(60)
        return stop is None
