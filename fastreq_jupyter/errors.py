"""The error tree.

    FastreqError
    ├── UsageError              misuse, found before anything is sent        (also ValueError)
    │   ├── OptionError         a wrong option: name, value, range
    │   └── CellSyntaxError     a wrong cell: line and column                (also SyntaxError-like text)
    ├── RunError                a run did not give what was asked for
    │   ├── PartialFailureError some requests failed; carries everything that arrived
    │   └── SourceError         the iterable of requests raised; carries the finished rows
    ├── BackendError            one exchange failed; becomes the ``error`` of a row, never escapes a run
    └── JournalError            a journal that cannot be used

A failed request inside a run is a *value* (a row with an ``error``). Exceptions are for misuse and for callers that ask for them.

IPython's `%xmode Verbose`, and every tool that shows local variables, prints the arguments of each frame on the way of an
exception: headers, auth and URLs among them. So public functions are decorated with `hide_frames`: our own errors, whose messages
are safe, are raised from a frame without arguments. Exceptions that are not ours (a defect, or the user's own code) keep their frames.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

__all__ = [
    "BackendError",
    "CellSyntaxError",
    "ErrorKind",
    "FastreqError",
    "InsecureWarning",
    "JournalError",
    "OptionError",
    "PartialFailureError",
    "RunError",
    "SourceError",
    "UsageError",
    "hide_frames",
    "hide_frames_of_init",
    "without_our_frames",
]

F = TypeVar("F", bound="Callable[..., Any]")
E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

ErrorKind = Literal[
    "timeout",
    "connect",
    "tls",
    "protocol",
    "proxy",
    "too large",
    "decoding",
    "invalid JSON",
    "invalid CSV",
    "invalid XML",
    "body",
    "graphql",
    "graphql partial",
    "too many redirects",
    "redirect refused",
    "invalid URL",
    "invalid value",
    "save_to",
    "parse_func",
    "cancelled",
    "deadline",
    "stopped",
    "skipped",
    "unknown",
    "auth",
    "not ready",
    "offline",
    "loop",
]
"""Every value of the ``error`` column but ``http NNN``, which is made from the status."""


class FastreqError(Exception):
    """The root of all errors raised by this package; they can be copied and pickled (a pool of processes does)."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self._state())

    def _state(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows, whose hook this is: the frames of the user's code without ours."""
        shell = sys.modules["IPython"].get_ipython()
        return list(shell.InteractiveTB.structured_traceback(type(self), self, _without_ours(self.__traceback__)))


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    following = _without_ours(trace.tb_next)
    if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        return following
    return TracebackType(following, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


class UsageError(FastreqError, ValueError):
    """Misuse, told in one line, before anything is sent."""


class OptionError(UsageError):
    """A wrong option: an unknown name, a wrong value, or one that does not go with another.

    Args:
        message: One line that names the option.
        option: Its name.
        value: What was given; None where it may be a secret.
        allowed: What it may be, in words.
        reason: What is wrong and what to do, for places that show the option's name themselves; by default the message.

    Attributes:
        option: The name, None where the error is about no single option.
        value: What was given, None where that is not known or may be a secret.
        allowed: What it may be, None where no range says it.
        reason: What is wrong, without the option's name.
    """

    def __init__(
        self, message: str, *, option: str | None = None, value: object = None, allowed: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.option = option
        self.value = value
        self.allowed = allowed
        self.reason = message if reason is None else reason


class CellSyntaxError(UsageError):
    """A cell that cannot be read.

    Args:
        message: What is wrong and what to do, one line.
        line: Line in the cell, from 1.
        column: Column in that line, from 1.
        option: The option it is about, if it is about one.
    """

    def __init__(self, message: str, line: int, column: int = 1, *, option: str | None = None) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.option = option


class RunError(FastreqError):
    """The root of errors that a finished run can raise.

    Attributes:
        df: The frame of all rows, finished or not; built when first read.
    """

    def __init__(self, message: str, run: Any = None) -> None:
        super().__init__(message)
        self._run = run
        self._frame: Any = None

    @property
    def df(self) -> Any:
        """Return the DataFrame of the run, one row per request."""
        return self._frame if self._run is None else self._run.df

    def _state(self) -> dict[str, Any]:
        # A run lives in its process; its rows can leave it.
        return {**self.__dict__, "_run": None, "_frame": self.df}


class PartialFailureError(RunError):
    """Some requests failed; carries what arrived.

    Attributes:
        failures: Position (or key) of each failed request -> its `Outcome`.
        results: Position (or key) of each good request -> its value in the asked return type.
        total: Number of requests of the run.
        successes: Number of good ones.
    """

    def __init__(
        self,
        message: str,
        *,
        run: Any,
        failures: Mapping[Any, Any],
        results: Mapping[Any, Any],
        failed_urls: Sequence[str],
    ) -> None:
        super().__init__(message, run)
        self.failures = dict(failures)
        self.results = dict(results)
        self.total = len(self.failures) + len(self.results)
        self._failed_urls = list(failed_urls)

    @property
    def successes(self) -> int:
        """Return how many requests gave a usable answer."""
        return len(self.results)

    def get_failed_urls(self) -> list[str]:
        """Return the URLs of the failed requests in input order, secrets as ``***``."""
        return list(self._failed_urls)


class SourceError(RunError):
    """The iterable of requests raised; its exception is ``__cause__``, the finished rows are in ``df``."""


class BackendError(FastreqError):
    """One exchange failed, and why.

    Args:
        kind: What goes into the ``error`` column.
        detail: The cause in one line, for ``error_detail``; free of secrets and control characters.
        sent: False when it is certain that no byte of the request left (the connection was never made), so that
            even an unsafe request may be tried again.
        stale: A kept connection was closed before any byte of the answer came (RFC 9112, 9.3.1).
        lasting: Every further try would fail alike: there is none.
    """

    def __init__(self, kind: ErrorKind, detail: str, *, sent: bool = True, stale: bool = False, lasting: bool = False) -> None:
        super().__init__(detail)
        self.kind: ErrorKind = kind
        self.detail = detail
        self.sent = sent
        self.stale = stale
        self.lasting = lasting


class InsecureWarning(UserWarning):
    """TLS certificates are not verified; warned of once per run."""


class JournalError(FastreqError):
    """A journal file that cannot be opened, is foreign, newer, torn beyond use, or held by another kernel."""


def _revive(kind: type[FastreqError], args: tuple[Any, ...], state: dict[str, Any]) -> FastreqError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


_PACKAGE = __name__.partition(".")[0]
_OURS = (FastreqError, asyncio.CancelledError)


def hide_frames(function: F) -> F:
    """Let a function, coroutine function or asynchronous generator raise our errors without its frames and arguments."""
    if inspect.isasyncgenfunction(function):
        return cast("F", functools.wraps(function)(_stream(function)))
    if inspect.iscoroutinefunction(function):
        return cast("F", functools.wraps(function)(_coroutine(function)))
    return cast("F", functools.wraps(function)(_plain(function)))


def hide_frames_of_init(kind: type[T]) -> type[T]:
    """Let the constructor of a class that is given secrets raise our errors without its frames and arguments."""
    kind.__init__ = hide_frames(kind.__init__)  # type: ignore[method-assign] # the wrapper has the signature
    return kind


def without_our_frames(error: E) -> E:
    """Return an exception of the user's code without the frames of ours that it came through; one of our own as it is."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        trace = trace.tb_next
    return error if trace is None else error.with_traceback(trace)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def door(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except _OURS as error:
            failure = error.with_traceback(None)
        del args, kwargs
        raise failure

    return door


def _coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def door(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except _OURS as error:
            failure = error.with_traceback(None)
        del args, kwargs
        raise failure

    return door


def _stream(function: Callable[..., Any]) -> Callable[..., Any]:
    async def door(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        stream = function(*args, **kwargs)
        del args, kwargs
        try:
            async for item in stream:
                yield item
                # Only the caller may hold a reference: a streamed outcome occupies a slot while it is referenced.
                del item
        except _OURS as error:
            failure = error.with_traceback(None)
        else:
            return
        finally:
            await stream.aclose()
        raise failure

    return door
