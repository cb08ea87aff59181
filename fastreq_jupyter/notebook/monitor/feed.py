"""From outcomes to messages for the page: what changed, columnar, redacted, cut.

Pure: outcomes and questions go in, messages come out; who sends them, and when, is decided in `watch`. The words of a
message are those of ``js/src/protocol.ts``; ``tests/contract`` holds both sides together.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from dataclasses import fields
from itertools import chain, islice, repeat
from math import isfinite
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import compress

from fastreq_jupyter.engine import Progress, quantiles
from fastreq_jupyter.notebook.monitor.batch import ATTEMPT_COLUMNS, ROW_COLUMNS, Words, joined
from fastreq_jupyter.notebook.monitor.ledger import FAILED, Ledger
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine import UnderWay
    from fastreq_jupyter.model import Outcome

VERSION = 1
ROW_LIMIT = 200_000
"""Rows that are listed; those beyond are counted only, and are in the frame."""
_FILES = 4
_FIGURES = [field.name for field in fields(Progress) if field.name != "files"]


class Message(NamedTuple):
    """What is sent to the page: JSON and buffers."""

    content: dict[str, Any]
    buffers: list[bytes]

    def packed(self) -> str:
        """Return all of it in small, for a trait that a notebook keeps: JSON, a newline, the buffers; zlib (RFC 1950), base64."""
        head = json.dumps(self.content, separators=(",", ":")).encode()
        # Level 9 takes up to 50 times as long and saves 2 %.
        return b64encode(compress(b"\n".join((head, b"".join(self.buffers))), 6)).decode("ascii")


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
        return (
            self.state,
            self.closing,
            *self.settings.values(),
            p.total,
            p.done,
            p.retried,
            p.in_flight,
            p.waiting,
            p.bytes,
            p.notice,
            [file.received_bytes for file in p.files[:_FILES]],
        )


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
        self._latency: list[float] | None = None

    @property
    def title(self) -> str:
        """Return the run's name as it follows a word, one line; nothing where it has none."""
        return f" of {self._name}" if self._name else ""

    @property
    def known(self) -> int:
        """Return how many rows are listed."""
        return self._ledger.known

    @property
    def pending(self) -> int:
        """Return how many rows changed since they were last sent."""
        ledger = self._ledger
        return ledger.rows.length - ledger.sent + len(ledger.changed)

    def take(self, began: float, finished: Sequence[Outcome], under_way: Iterable[UnderWay] = ()) -> None:
        """Enter what is new.

        Args:
            began: When the run began, seconds of `time.perf_counter`; NaN while it has not.
            finished: Requests that have their outcome, each once.
            under_way: All requests that were tried and have none yet.
        """
        self._ledger.began = began
        if finished:
            self._ledger.enter(finished)
            self._latency = None
        self._ledger.observe(under_way)

    def repeat(self) -> None:
        """Count every row as untold: a page may have missed it."""
        self._ledger.sent = 0
        self._ledger.changed.clear()

    def message(self, status: Status, limit: int) -> Message:
        """Return the next message: what is new, and what changed, at most `limit` rows of it."""
        ledger = self._ledger
        new = range(ledger.sent, min(ledger.rows.length, ledger.sent + limit))
        changed = list(islice(ledger.changed, limit - len(new)))
        ledger.sent = new.stop
        for row in changed:
            del ledger.changed[row]
        return self._write(new, sorted(changed), status)

    def answer(self, request: int, start: int, status: Status, limit: int) -> Message:
        """Return rows, all they hold, for a page that asks with the number `request`; from `start` on in the order they are kept."""
        length = self._ledger.rows.length
        first = min(max(start, 0), length)
        stop = min(first + limit, length)
        message = self._write(range(first, stop), (), status)
        message.content.update(answers=request, next=stop if stop < length else None)
        return message

    def snapshot(self, status: Status, limit: int) -> Message:
        """Return a bounded picture of the whole: the first rows, and beyond them failed ones before good ones."""
        states, rows = self._ledger.rows.numbers("state"), self._ledger.in_order()
        head, later = rows[: limit * 3 // 4], rows[limit * 3 // 4 :]
        failed = [row for row in later if states[row] == FAILED][: limit - len(head)]
        good = islice((row for row in later if states[row] != FAILED), limit - len(head) - len(failed))
        chosen = sorted((*head, *failed, *good), key=self._ledger.rows.numbers("position").__getitem__)
        return self._write(range(0), chosen, status, with_texts=len(chosen))

    def _write(self, new: range, others: Sequence[int], status: Status, *, with_texts: int = 0) -> Message:
        """Lay out a message about a stretch of rows, with their texts, and about others, the first `with_texts` of them with texts."""
        words, table, ledger = Words(), self._ledger.rows, self._ledger
        attempts, buffer = self._attempt_buffer(new, others, words)
        buffers = [self._row_buffer(new, others, words), buffer]
        self._seq += 1
        content = {
            "kind": "rows",
            "v": VERSION,
            "run": self._run_id,
            "name": self._name,
            "state": status.state,
            "seq": self._seq,
            "start": min(table.gather("position", new, others), default=0),
            "count": len(new) + len(others),
            "attempts": attempts,
            "known": ledger.known,
            "row_limit": ledger.row_limit,
            "progress": _progress(status.progress),
            "settings": status.settings,
            "words": words.all,
            "url": table.gather_texts("url", new, others[:with_texts]),
            "name_of": _sparse(table.gather_texts("name", new, others[:with_texts])),
            "detail": _sparse(table.gather_texts("detail", new, others)),
            "closing": status.closing,
            "latency": None if status.closing is None else self._quantiles(),
            "answers": None,
            "next": None,
        }
        return Message(content, buffers)

    def _quantiles(self) -> list[float]:
        """Return the percentiles of what has finished; sorted once for all messages that tell of the end."""
        if self._latency is None:
            self._latency = quantiles(self._ledger.rows.numbers("elapsed"))
        return self._latency

    def _row_buffer(self, new: range, others: Sequence[int], words: Words) -> bytes:
        table = self._ledger.rows
        return joined(
            words.numbered(table.gather_texts(name, new, others)) if table.has_texts(name) else table.gather(name, new, others)
            for name in ROW_COLUMNS
        )

    def _attempt_buffer(self, new: range, others: Sequence[int], words: Words) -> tuple[int, bytes]:
        """Return how many attempts these rows have, and their columns."""
        table, rows = self._ledger.attempts, self._ledger.rows
        positions, first, tries = (rows.gather(name, new, others) for name in ("position", "first", "tries"))
        if tries.tobytes().count(1) == len(tries):
            places = first.tolist()
        else:
            places = list(chain.from_iterable(map(range, first, map(add, first, tries))))
            positions = array("I", chain.from_iterable(map(repeat, positions, tries)))
        # Rows that were heard of one after another have their attempts one after another.
        together = sum(tries[: len(new)])
        stretch = range(places[0], places[0] + together) if together else range(0)
        if places[:together] != list(stretch):
            stretch, together = range(0), 0
        apart = places[together:]
        columns = []
        for name in ATTEMPT_COLUMNS:
            if name == "position":
                columns.append(positions)
            elif name == "error":
                columns.append(words.numbered(table.gather_texts(name, stretch, apart)))
            else:
                columns.append(table.gather(name, stretch, apart))
        return len(places), joined(columns)


def _sparse(texts: Sequence[str]) -> dict[str, str]:
    return {str(i): text for i, text in enumerate(texts) if text}


def _progress(progress: Progress) -> dict[str, Any]:
    """Return the figures without what JSON cannot say; of large files on their way the first, in words."""
    figures = {field: getattr(progress, field) for field in _FIGURES}
    files: list[tuple[str, float | None, str]] = [
        (file.name, None if not file.total_bytes else min(1.0, file.received_bytes / file.total_bytes), file.text)
        for file in progress.files[:_FILES]
    ]
    if len(progress.files) > _FILES:
        files.append(("", None, f"and {len(progress.files) - _FILES:,} more"))
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in figures.items()} | {"files": files}
