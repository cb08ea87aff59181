"""From outcomes to messages for the page: what changed, columnar, redacted, cut.

Pure: outcomes and questions go in, messages come out; who sends them, and when, is decided in `watch`. The words of a
message are those of ``js/src/protocol.ts``; ``tests/contract`` holds both sides together.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict
from itertools import chain, islice, repeat
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import compress

from fastreq_jupyter.engine import quantiles
from fastreq_jupyter.notebook.monitor.batch import ATTEMPT_COLUMNS, ROW_COLUMNS, Words, column, joined
from fastreq_jupyter.notebook.monitor.ledger import FAILED, Ledger
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine import Progress, UnderWay
    from fastreq_jupyter.model import Outcome

__all__ = ["ROW_LIMIT", "Feed", "Message", "Status"]

VERSION = 1
ROW_LIMIT = 200_000
"""Rows that are listed; those beyond are counted only, and are in the frame."""


class Message(NamedTuple):
    """What is sent to the page: JSON and buffers."""

    content: dict[str, Any]
    buffers: list[bytes]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON, buffers in base64."""
        return {**self.content, "buffers": [b64encode(buffer).decode("ascii") for buffer in self.buffers]}

    def packed(self) -> str:
        """Return the same in small, for a trait that a notebook keeps: JSON, a newline, the buffers; zlib (RFC 1950), base64."""
        head = json.dumps(self.content, separators=(",", ":")).encode()
        return b64encode(compress(b"\n".join((head, b"".join(self.buffers))), 9)).decode("ascii")


class Status(NamedTuple):
    """What is said about the run as a whole.

    Attributes:
        state: State of the run.
        progress: How far it is.
        settings: What can be changed while it runs, as the panel shows it.
        closing: The closing line, once it has ended.
    """

    state: str
    progress: Progress
    settings: dict[str, Any]
    closing: str | None = None

    @property
    def facts(self) -> tuple[object, ...]:
        """Return all of it but the clock and what follows from it."""
        p = self.progress
        return (self.state, self.closing, *self.settings.values(), p.total, p.done, p.retried, p.in_flight, p.waiting, p.bytes, p.notice)


class Feed:
    """The messages made of what happens in one run.

    Args:
        run_id: Which run this is.
        name: Its name, shown as title.
        row_limit: Rows listed at most.
    """

    def __init__(self, run_id: str, *, name: str = "", row_limit: int = ROW_LIMIT) -> None:
        self._run_id = run_id
        self._name = one_line(name, 80)
        self._ledger = Ledger(row_limit=row_limit)
        self._seq = 0

    @property
    def title(self) -> str:
        """Return the run's name as it follows a word, one line; nothing where it has none."""
        return f" of {self._name}" if self._name else ""

    @property
    def known(self) -> int:
        """Return how many rows are listed."""
        return self._ledger.rows.length

    @property
    def pending(self) -> int:
        """Return how many rows changed since they were last sent."""
        return len(self._ledger.changed)

    def take(self, began: float, finished: Sequence[Outcome], under_way: Iterable[UnderWay] = ()) -> None:
        """Enter what is new.

        Args:
            began: When the run began, seconds of `time.perf_counter`; NaN while it has not.
            finished: Requests that have their outcome, each once.
            under_way: All requests that were tried and have none yet.
        """
        self._ledger.began = began
        self._ledger.enter(finished)
        self._ledger.observe(under_way)

    def repeat(self) -> None:
        """Count every row as changed: a page may have missed it."""
        every = range(self.known)
        self._ledger.changed.update(dict.fromkeys(every))
        self._ledger.untold.update(every)

    def message(self, status: Status, limit: int) -> Message:
        """Return the next message: what changed, at most `limit` rows of it."""
        changed, untold = self._ledger.changed, self._ledger.untold
        batch = set(islice(changed, limit))
        new = sorted(batch & untold)
        rows = new + sorted(batch.difference(new))
        untold.difference_update(new)
        for row in rows:
            del changed[row]
        return self._write(rows, len(new), status)

    def answer(self, request: int, start: int, status: Status, limit: int) -> Message:
        """Return the rows from `start` on, all they hold, for a page that asks with the number `request`."""
        first = min(max(start, 0), self.known)
        stop = min(first + limit, self.known)
        message = self._write(range(first, stop), stop - first, status)
        message.content.update(answers=request, next=stop if stop < self.known else None)
        return message

    def snapshot(self, status: Status, limit: int) -> Message:
        """Return a bounded picture of the whole: the first rows, and beyond them failed ones before good ones."""
        head = range(min(limit * 3 // 4, self.known))
        states = self._ledger.rows.numbers("state")
        later = sorted(range(len(head), self.known), key=lambda row: states[row] != FAILED)
        rows = sorted([*head, *later[: limit - len(head)]])
        return self._write(rows, len(rows), status)

    def _write(self, rows: Sequence[int], told: int, status: Status) -> Message:
        """Lay out a message about some rows, the first `told` of them with their texts."""
        words, table = Words(), self._ledger.rows
        attempts, buffer = self._attempt_buffer(rows, words)
        buffers = [self._row_buffer(rows, words), buffer]
        self._seq += 1
        content = {
            "kind": "rows",
            "v": VERSION,
            "run": self._run_id,
            "name": self._name,
            "state": status.state,
            "seq": self._seq,
            "start": min(rows, default=0),
            "count": len(rows),
            "attempts": attempts,
            "known": self.known,
            "row_limit": self._ledger.row_limit,
            "progress": _finite(asdict(status.progress)),
            "settings": status.settings,
            "words": words.all,
            "url": list(table.gather_texts("url", rows[:told])),
            "name_of": _sparse(table.gather_texts("name", rows[:told])),
            "detail": _sparse(table.gather_texts("detail", rows)),
            "closing": status.closing,
            "latency": None if status.closing is None else quantiles(table.numbers("elapsed")),
            "answers": None,
            "next": None,
        }
        return Message(content, buffers)

    def _row_buffer(self, rows: Sequence[int], words: Words) -> bytes:
        return joined([self._row_column(name, code, rows, words) for name, code in ROW_COLUMNS.items()])

    def _row_column(self, name: str, code: str, rows: Sequence[int], words: Words) -> array[Any]:
        table = self._ledger.rows
        if name == "position":
            return column(code, rows)
        return words.numbered(table.gather_texts(name, rows)) if table.has_texts(name) else table.gather(name, rows)

    def _attempt_buffer(self, rows: Sequence[int], words: Words) -> tuple[int, bytes]:
        """Return how many attempts these rows have, and their columns."""
        ledger = self._ledger
        found = [ledger.places(row) for row in rows]
        places = list(chain.from_iterable(found))
        owners = list(chain.from_iterable(map(repeat, rows, map(len, found))))
        columns = []
        for name, code in ATTEMPT_COLUMNS.items():
            if name == "position":
                columns.append(column(code, owners))
            elif name == "error":
                columns.append(words.numbered(ledger.attempts.gather_texts(name, places)))
            else:
                columns.append(ledger.attempts.gather(name, places))
        return len(places), joined(columns)


def _sparse(texts: Sequence[str]) -> dict[str, str]:
    return {str(i): text for i, text in enumerate(texts) if text}


def _finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """Replace what JSON cannot say."""
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in numbers.items()}
