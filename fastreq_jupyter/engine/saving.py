"""Good bodies become files: named, counted while they come, gone on with where they broke off.

A file that breaks off is put aside under a hidden name that is made of the request and of the validator of what has come, so
that the next attempt, or another run, asks for the rest only. Whoever goes on with it takes it over by renaming it: of two
only one can, and the other begins anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.engine.body import Body, as_file, read_body
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.files import FILENAME, AtomicFile, file_name_from, file_name_of, numbered, write_whole
from fastreq_jupyter.model import Outcome
from fastreq_jupyter.options import show_bytes
from fastreq_jupyter.policy import may_ask_for_rest, validator_of, why_no_rest
from fastreq_jupyter.redact import redact_url

if TYPE_CHECKING:
    from fastreq_jupyter.backends import Stream
    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.model import Request, Response
    from fastreq_jupyter.policy import Head

WORTH_KEEPING = 256 * 1024
"""Fewest bytes of a broken file that are kept."""
_WINDOW_S = 2.5


class Begun(NamedTuple):
    """A file that an earlier attempt began: where it stands, what says so, how many bytes of which version it has."""

    place: Path
    note: Path
    size: int
    validator: str

    def discard(self) -> None:
        """Remove it; never raises."""
        for path in (self.note, self.place):
            with suppress(OSError):
                path.unlink()


def find_begun(request: Request) -> Begun | None:
    """Return what there is already of the file that a request is to be saved to, None where there is nothing to go on with."""
    if request.save_as is None or not may_ask_for_rest(request.method, request.headers):
        return None
    note = _note_of(request)
    try:
        validator = json.loads(note.read_bytes())["validator"]
        place = _place_of(note, validator)
        return Begun(place, note, place.stat().st_size, validator)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _note_of(request: Request) -> Path:
    save_as = request.save_as or ""
    text = f"{save_as}\n{redact_url(request.url, request.secrets)}"
    return Path(save_as).parent / f".{blake2b(text.encode('utf-8', 'replace'), digest_size=8).hexdigest()}.part.json"


def _place_of(note: Path, validator: str) -> Path:
    # The validator is part of the name: parts written by two processes at once are never combined.
    return note.with_name(f"{note.name.partition('.part')[0]}-{blake2b(validator.encode(), digest_size=4).hexdigest()}.part")


class Transfer:
    """A file on its way; written on the run's loop alone.

    Attributes:
        path: Where it will be.
        received: Bytes of it that are there, those of earlier attempts included.
        resumed: Bytes that were there before this attempt.
        total: Its size, None where nobody said.
    """

    __slots__ = ("_before", "_file", "_now", "path", "received", "resumed", "total")

    def __init__(self, path: str, file: AtomicFile, received: int, total: int | None) -> None:
        self.path, self.received, self.total = path, received, total
        self._file, self.resumed = file, received
        self._before = self._now = (perf_counter(), received)

    def write(self, data: bytes) -> None:
        """Write to the file, and count.

        Raises:
            OSError: The disk is full, or the like.
        """
        self._file.write(data)
        self.received += len(data)
        now = perf_counter()
        if now - self._now[0] > _WINDOW_S:
            self._before, self._now = self._now, (now, self.received)

    @property
    def per_second(self) -> float:
        """Return bytes a second, over the last seconds."""
        at, received = self._before
        return (self.received - received) / max(perf_counter() - at, 0.05)


class Saver:
    """The files of one run.

    Args:
        max_body: Bytes of a file at most.
        spare_existing: Names that the server gives replace no file that is there.

    Attributes:
        under_way: Position of a request -> its file on the way.
    """

    def __init__(self, max_body: int, *, spare_existing: bool) -> None:
        self.max_body = max_body
        self.under_way: dict[int, Transfer] = {}
        self._spare_existing = spare_existing
        self._paths: dict[str, int] = {}

    def hold(self, items: object) -> None:
        """Take note of the files of rows that are known already: no other row gets their names.

        Args:
            items: What a run is to do; rows of an earlier run stand in a list.
        """
        for item in items if isinstance(items, list) else ():
            if isinstance(item, Outcome) and item.response is not None and item.response.path is not None:
                self._paths[item.response.path.casefold()] = item.position

    async def save(self, stream: Stream, head: Head, exchange: Exchange, job: Job, response: Response) -> Body:
        """Read a good body to its file; its path goes into the response.

        Raises:
            BackendError: What the stream raises, "too large", "save_to", or "protocol" where this is not the rest of what was begun.
        """
        begun = job.begun_file
        path = self._path(job, response)
        source: Any = stream
        try:
            if begun is not None and response.status == 206:
                file, job.resumed = self._reopened(begun, head, response, path), begun.size
            else:
                if begun is not None:
                    # The server does not support ranges, or the file has changed.
                    begun.discard()
                if head.codings:
                    source, head = await as_file(stream, head, path)
                file = AtomicFile(path)
            total = None if head.codings or head.length is None else job.resumed + head.length
            transfer = self.under_way[job.position] = Transfer(path, file, job.resumed, total)
            try:
                body = await read_body(source, head, method=exchange.method, max_body=self.max_body - job.resumed, file=transfer)
                file.commit()
            except BaseException:
                self._put_aside(file, transfer, job, response)
                raise
            if begun is not None and job.resumed:
                begun.note.unlink(missing_ok=True)
        except OSError as error:
            raise BackendError("save_to", f"{path}: {error.strerror or error}") from error
        finally:
            self.under_way.pop(job.position, None)
        response.path = path
        return Body(None, job.resumed + body.size_bytes)

    def _reopened(self, begun: Begun, head: Head, response: Response, path: str) -> AtomicFile:
        """Return the file that was begun, once the answer is known to be its rest."""
        if (why := why_no_rest(response, begun.size, begun.validator)) is not None:
            begun.discard()
            raise BackendError("protocol", f"the answer {why}; the next attempt begins anew")
        if begun.size + (head.length or 0) > self.max_body:
            raise BackendError("too large", f"the whole file is longer than max_body, {show_bytes(self.max_body)}")
        try:
            return AtomicFile(path, begun=begun.place)
        except FileNotFoundError:
            raise BackendError("protocol", "somebody else goes on with the file; the next attempt begins anew") from None

    def _put_aside(self, file: AtomicFile, transfer: Transfer, job: Job, response: Response) -> None:
        """Keep what has come of a file where the rest can be asked for, else remove it; never raises."""
        request = job.request
        validator = validator_of(response)
        worth = transfer.received >= WORTH_KEEPING and response.header("content-encoding") is None
        try:
            if worth and validator is not None and may_ask_for_rest(request.method, request.headers):
                note = _note_of(request)
                write_whole(note, [json.dumps({"validator": validator}).encode()])
                file.keep(_place_of(note, validator))
        except OSError:
            pass
        finally:
            file.discard()

    def _path(self, job: Job, response: Response) -> str:
        """Return where the body goes: as it was said, or named by the answer, as nothing else of the run is."""
        request = job.request
        template = request.save_as or ""
        if FILENAME not in template:
            return template
        name = file_name_from(response.header("content-disposition")) or file_name_of(redact_url(response.final_url, job.secrets))
        path = template.replace(FILENAME, name)
        number = 0
        while not self._take(numbered(path, number), job.position):
            number += 1
        return numbered(path, number)

    def _take(self, path: str, position: int) -> bool:
        holder = self._paths.get(path.casefold())
        if holder is not None:
            return holder == position
        if self._spare_existing and Path(path).exists():
            return False
        self._paths[path.casefold()] = position
        return True


def refuse_range(job: Job, response: Response) -> None:
    """Begin anew where the server refuses to give the rest.

    Raises:
        BackendError: It does.
    """
    if response.status == 416 and job.begun_file is not None:
        job.begun_file.discard()
        raise BackendError("protocol", "the server does not give the rest of the file; the next attempt begins anew")
