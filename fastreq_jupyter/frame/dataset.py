"""Rows in place of memory: a directory of Parquet files, a batch each, or the lines of one file (option `to`).

A batch is there whole or not at all. Each file of a directory is one that ``df.fastreq.save`` would write: `load` gives all of
them back as one frame. While a run writes to a directory, nobody else does: it holds the lock in it.
"""

from __future__ import annotations

import os
import re
from array import array
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import filelock
import pandas as pd

from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.files import release
from fastreq_jupyter.frame.build import attrs_of, shown_urls, to_frame
from fastreq_jupyter.frame.columns import integers, texts
from fastreq_jupyter.frame.files import csv_lines, json_lines
from fastreq_jupyter.frame.parquet import dump_json, encode_value, load_file, needs_pyarrow, read_footer, write_parquet
from fastreq_jupyter.options import show_count
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.model import Outcome, Plan, Request

_NAME = re.compile(r"batch-(\d{6,})\.parquet")
_LOCK = ".lock"
# A file that a killed process left unfinished (files.AtomicFile).
_TORN = re.compile(r"\.[0-9a-f]{16}\.part")
_SHOWN = 3
# Options that determine the columns of a frame.
_SHAPING = ("columns", "timings", "response_headers", "select", "parse", "until")


class Batch(NamedTuple):
    """A batch that is written: its rows, of these good and failed ones, bytes of bodies, and its file."""

    rows: int
    ok: int
    failed: int
    bytes: int
    path: str


class Dataset:
    """The place that a run's rows go to. An `engine.written.Sink`.

    Args:
        plan: Knows options, keys and source columns.

    Attributes:
        place: As the user wrote it.
        batches: Those that are there, in order.
    """

    def __init__(self, plan: Plan) -> None:
        self.place = str(plan.options.to)
        self.batches: list[Batch] = []
        self._plan = plan
        # How the rows are read, for a note.
        self._reader = ""

    def holds(self, position: int) -> bool:  # noqa: ARG002 - the signature of a sink
        """Tell whether the row of a request is there from an earlier run."""
        return False

    def check(self, position: int, request: Request) -> None:
        """Raise if the existing row belongs to another request; only a directory has such rows."""

    def write(self, rows: Sequence[Outcome]) -> None:
        """Write a batch.

        Raises:
            OSError: It cannot be written; what is there stays as it was.
        """
        try:
            frame = self._frame_of(rows)
            path = self._put(frame)
        except UsageError:
            # A body that no file format can hold fails its own row; the others stay.
            frame = self._frame_of([_storable(row) for row in rows])
            path = self._put(frame)
        self.batches.append(Batch(len(frame), **frame.attrs["fastreq"]["batch"], path=path))

    def notes(self) -> list[str]:
        """Return how many rows are there, and how they are read."""
        number = sum(batch.rows for batch in self.batches)
        return [f"{show_count(number, 'row is', 'rows are')} in {self.place}: {self._reader}"]

    def close(self) -> None:
        """Let go of the place, when all rows are there; never raises."""
        self.abandon()

    def abandon(self) -> None:
        """Let go of the place; never raises."""

    def _frame_of(self, rows: Sequence[Outcome]) -> pd.DataFrame:
        """Return the frame of a batch, the facts about it in ``attrs``."""
        plan = self._plan
        frame = to_frame(rows, plan.options, keys=plan.keys, join=plan.join)
        # The row number repeats the position.
        labelled = not (frame.index.name is None and frame.index.equals(pd.Index(frame["position"])))
        labelled = labelled and not (plan.keys is None and plan.join is None)
        if not labelled:
            attrs, frame = frame.attrs, frame.reset_index(drop=True)
            frame.attrs = attrs
        failed = int(frame["error"].notna().sum())
        size = sum(row.response.size_bytes for row in rows if row.response is not None)
        batch = {"ok": len(frame) - failed, "failed": failed, "bytes": size}
        frame.attrs["fastreq"] |= {"batch": batch, "shape": _shape_of(plan), "labelled": labelled}
        return frame

    def _put(self, frame: pd.DataFrame) -> str:
        """Write the batch and return its path."""
        raise NotImplementedError


class ParquetFolder(Dataset):
    """A directory of Parquet files, a batch each."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        needs_pyarrow()
        self._reader = f"fastreq_jupyter.load({self.place!r}), or any reader of Parquet"
        self._folder = Path(self.place)
        # By position: 0 for no row, 1 for a row of unknown URL, else a checksum of the URL.
        self._there = array("L")
        self._number = 0
        if self._folder.exists() and not self._folder.is_dir():
            raise OptionError(f"to: {self.place} is a file: give a directory, or a .jsonl or .csv file", option="to", value=self.place)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.place, error) from error
        self._lock = filelock.FileLock(self._folder / _LOCK, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise OptionError(f"to: another run writes to {self.place}: wait for it, or give another name", option="to") from None
        except OSError as error:
            raise _unusable(self.place, error) from error
        try:
            self._look()
        except BaseException:
            self.abandon()
            raise

    def holds(self, position: int) -> bool:
        """Tell whether the row of a request is there from an earlier run."""
        return position < len(self._there) and self._there[position] != 0

    def check(self, position: int, request: Request) -> None:
        """Check that the existing row is that of this request.

        Raises:
            UsageError: It is another one's.
        """
        there, url = self._there[position], shown_urls([request])[0]
        if there not in (1, _sum_of(url)):
            message = f"{self.place} holds the rows of other requests (row {position} is not {one_line(url, 120)}): give another name"
            raise UsageError(message)

    def close(self) -> None:
        """Leave a batch without rows where there is none, so that the columns are known, and let go of the place."""
        with suppress(Exception):
            if not self.batches:
                self.write(())
        self.abandon()

    def abandon(self) -> None:
        """Let go of the place."""
        release(self._lock)

    def _put(self, frame: pd.DataFrame) -> str:
        path = self._folder / f"batch-{self._number:06d}.parquet"
        write_parquet(frame, path)
        self._number += 1
        return str(path)

    def _look(self) -> None:
        """Read the directory and take over the rows of an earlier run.

        Raises:
            OptionError: Something else is there, or rows of which no journal tells.
        """
        names = sorted(entry.name for entry in self._folder.iterdir())
        strange = [name for name in names if name != _LOCK and not _NAME.fullmatch(name) and not _TORN.fullmatch(name)]
        if strange:
            more = ", ..." if len(strange) > _SHOWN else ""
            message = f"to: {self.place} holds other files ({', '.join(strange[:_SHOWN])}{more}): give a new directory"
            raise OptionError(one_line(message, 300), option="to")
        files = [name for name in names if _NAME.fullmatch(name)]
        options = self._plan.options
        if files and (options.journal is None or options.fresh):
            why = "give journal to go on with them" if options.journal is None else "fresh would send all of them again"
            raise OptionError(f"to: {self.place} holds the rows of an earlier run: {why}, or give another name", option="to")
        for name in names:
            if _TORN.fullmatch(name):
                (self._folder / name).unlink(missing_ok=True)
        footers = {self._folder / name: read_footer(self._folder / name).get("fastreq", {}) for name in files}
        if any(about.get("shape") != _shape_of(self._plan) for about in footers.values()):
            message = f"to: {self.place} was written with other options ({', '.join(_SHAPING[:4])} ...): give the same, or another name"
            raise OptionError(message, option="to")
        for path, about in footers.items():
            self._take_over(path, about)

    def _take_over(self, path: Path, about: dict[str, Any]) -> None:
        """Keep the good rows of a batch; failed ones are taken out, since the journal decides what becomes of them."""
        batch = about["batch"]
        if batch["failed"]:
            frame = load_file(path)
            frame = frame[frame["error"].isna()]
            frame = frame if about["labelled"] else frame.reset_index(drop=True)
            batch = {**batch, "ok": len(frame), "failed": 0}
            frame.attrs["fastreq"] = {**about, "batch": batch}
            if len(frame):
                write_parquet(frame, path)
        self._number = int(_NAME.fullmatch(path.name)[1]) + 1  # type: ignore[index] # chosen by this pattern
        if not batch["ok"]:
            path.unlink()
            return
        self._enter(path)
        self.batches.append(Batch(batch["ok"], **batch, path=str(path)))

    def _enter(self, path: Path) -> None:
        _, pq = needs_pyarrow()
        file = pq.ParquetFile(path)
        with file:
            has_urls = "url" in file.schema_arrow.names
            table = file.read(["position", "url"] if has_urls else ["position"])
        positions = table.column("position").to_pylist()
        sums = [_sum_of(url) for url in table.column("url").to_pylist()] if has_urls else [1] * len(positions)
        missing = max(positions, default=-1) + 1 - len(self._there)
        if missing > 0:
            self._there.frombytes(bytes(missing * self._there.itemsize))
        for position, checksum in zip(positions, sums, strict=True):
            self._there[position] = checksum


class LinesFile(Dataset):
    """One file of lines, a row each, which grows by a batch at a time."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._path = Path(self.place)
        is_json = self._path.suffix.lower() == ".jsonl"
        self._lines = json_lines if is_json else csv_lines
        self._reader = f"pandas.{'read_json' if is_json else 'read_csv'} reads it"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        except FileExistsError:
            message = f"to: {self.place} exists: give another name (only a directory, to='rows/', can be gone on with)"
            raise OptionError(message, option="to") from None
        except OSError as error:
            raise _unusable(self.place, error) from error
        self._end = 0

    def abandon(self) -> None:
        """Close the file, and remove it where nothing was written."""
        with suppress(OSError):
            os.close(self._file)
        if not self.batches:
            with suppress(OSError):
                self._path.unlink()

    def _put(self, frame: pd.DataFrame) -> str:
        content = memoryview(self._lines(frame, head=not self._end))
        try:
            rest = content
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Remove the partly written batch, keep the complete ones.
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
                os.lseek(self._file, self._end, os.SEEK_SET)
            raise
        self._end += len(content)
        return str(self._path)


def open_dataset(plan: Plan) -> Dataset:
    """Return the place that option `to` names, ready to be written to.

    Raises:
        OptionError: Something else is there, or it cannot be made; one line.
    """
    place = str(plan.options.to)
    ending = Path(place).suffix.lower()
    if place.endswith(("/", os.sep)) or not ending or Path(place).is_dir():
        return ParquetFolder(plan)
    if ending in (".jsonl", ".csv"):
        return LinesFile(plan)
    raise OptionError(f"to={place!r} is not possible: give a directory like 'rows/', or a .jsonl or .csv file", option="to", value=place)


def batches_frame(sink: Any, *, summary: Any, run_id: str) -> pd.DataFrame:
    """Return what comes back in place of the rows: one row per batch."""
    batches: list[Batch] = list(sink.batches)
    columns = {name: integers([getattr(batch, name) for batch in batches], "Int64") for name in ("rows", "ok", "failed", "bytes")}
    frame = pd.DataFrame({**columns, "path": texts([batch.path for batch in batches])}, copy=False)
    frame.attrs["fastreq"] = attrs_of(summary, run_id)
    return frame


def load(path: str | Path) -> pd.DataFrame:
    """Return the frame that ``df.fastreq.save("x.parquet")`` wrote, the same in values, dtypes, index, columns and attrs.

    Of a directory that option `to` filled it returns all rows, in order of the requests.

    Args:
        path: The file, or the directory.

    Raises:
        UsageError: A file is no Parquet, was not written by us, or was changed or cut since; one line.
        OSError: It cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        return load_file(folder)
    files = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    if not files:
        raise UsageError(f"{folder.name} holds no rows: give a directory that was written by to='rows/'")
    frames = [load_file(path) for path in files]
    attrs = frames[-1].attrs["fastreq"]
    numbered = all(isinstance(frame.index, pd.RangeIndex) for frame in frames)
    frame = pd.concat([part for part in frames if len(part)] or frames[:1], ignore_index=numbered)
    frame = frame.sort_values("position", kind="stable", ignore_index=numbered)
    frame.attrs = {"fastreq": attrs_of(None, attrs["run_id"], attrs["notes"])}
    return frame


def _shape_of(plan: Plan) -> dict[str, Any]:
    options = plan.options
    return {**{name: getattr(options, name) for name in _SHAPING}, "cached": options.caches}


def _sum_of(url: str) -> int:
    return crc32(url.encode("utf-8", "replace")) + 2


def _storable(row: Outcome) -> Outcome:
    """Return the row, without its body where no file can hold that."""
    try:
        dump_json(encode_value(row.data))
    except (RecursionError, TypeError, ValueError):
        return replace(row, data=None, error="invalid JSON", error_detail="nested too deeply to be stored")
    return row


def _unusable(place: str, error: OSError) -> OptionError:
    return OptionError(f"to: {place} cannot be written ({error.strerror or error}): give another name", option="to", value=place)
