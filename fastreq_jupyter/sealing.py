"""Doors that keep what they were given out of tracebacks.

IPython's `%xmode Verbose`, and every tool that shows local variables, prints the arguments of each frame on the way of an
exception: headers, auth and URLs among them. So our own errors, whose messages are safe, leave through a frame that holds
nothing any more. Exceptions that are not ours (a defect, or the user's own code) keep their frames.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastreq_jupyter.errors import FastreqError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["outside", "sealed"]

F = TypeVar("F", bound="Callable[..., Any]")
E = TypeVar("E", bound=BaseException)
_PACKAGE = __name__.partition(".")[0]
_OURS = (FastreqError, asyncio.CancelledError)


def sealed(function: F) -> F:
    """Let a function, coroutine function or asynchronous generator raise our errors without its frames and arguments."""
    if inspect.isasyncgenfunction(function):
        return cast("F", functools.wraps(function)(_stream(function)))
    if inspect.iscoroutinefunction(function):
        return cast("F", functools.wraps(function)(_coroutine(function)))
    return cast("F", functools.wraps(function)(_plain(function)))


def outside(error: E) -> E:
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
                # What is given out belongs to the caller alone: a streamed outcome holds a slot while anybody has it.
                del item
        except _OURS as error:
            failure = error.with_traceback(None)
        else:
            return
        finally:
            await stream.aclose()
        raise failure

    return door
