"""One engine per event loop: warm backend sessions, and the runs that live there.

The engine ends with its loop: an asynchronous generator that was begun on a loop is closed by `asyncio.run`,
`asyncio.Runner` and every other caller of ``loop.shutdown_asyncgens``; the one of an engine closes its sessions.
"""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections import deque
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.backends import Backend, SessionKey, detect, open_backend
from fastreq_jupyter.engine.attempt import Transport
from fastreq_jupyter.engine.run import Run
from fastreq_jupyter.errors import InsecureWarning

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from fastreq_jupyter.engine.cookies import Jar
    from fastreq_jupyter.engine.store import Store
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.engine.written import Sink
    from fastreq_jupyter.model import Plan

_KEPT_RUNS = 10
_ENGINES: dict[asyncio.AbstractEventLoop, Engine] = {}
_RECENT: deque[Run] = deque(maxlen=_KEPT_RUNS)
_LOCK = Lock()
# Objects made between two passes of the garbage collector while runs go on: a run keeps what it makes, most passes find nothing.
_OBJECTS_A_PASS = 100_000
_going_on = 0
_usual_thresholds = gc.get_threshold()


class Engine:
    """What starts runs on one loop and keeps its backend sessions warm. Made by `engine_here`.

    Attributes:
        loop: The loop it belongs to.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._sessions: dict[SessionKey, Backend] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._life = self._live()
        # Runs to the yield without awaiting; from then on the loop closes it at its shutdown.
        with suppress(StopIteration):
            self._life.__anext__().send(None)

    def submit(  # noqa: PLR0913 - a run and its optional companions
        self,
        plan: Plan,
        *,
        present: Callable[[Run], Any],
        retry: Callable[[Run, Plan], Run],
        jar: Jar,
        store: Store | None = None,
        handoffs: Handoffs | None = None,
        sink: Sink | None = None,
    ) -> Run:
        """Start a run; must be called on the engine's loop, returns at once.

        Args:
            plan: What to do.
            present: Makes the frame of a run.
            retry: Starts the run of `Run.retry_failed`.
            jar: Cookies to use and keep.
            store: Journal.
            handoffs: Takes over the bodies of good responses (streaming).
            sink: Takes over the rows (option `to`).

        Raises:
            OptionError: A backend that is not installed, or cannot do what the options ask.
        """
        options = plan.options
        proxy = None if options.proxy in ("env", "none") else options.proxy
        backend = _backend_for(plan, proxy)

        # A backend refuses what it cannot do at this point, before any request is drawn.
        self.session(SessionKey(backend, options.verify_ssl, options.cert, proxy, options.http2, options.http3))
        transport = Transport(backend, options, jar, dict(os.environ), open_session=self.session, close_sessions=self._close_unless_shared)
        if options.save_to is not None:
            transport.saver.hold(plan.requests)
        if options.verify_ssl is False:
            message = "TLS certificates are not verified (verify_ssl=False)"
            # A registry of its own: shown for every run, not once per line of code.
            warnings.warn_explicit(message, InsecureWarning, "fastreq_jupyter", 0, registry={})

        run = Run(plan, transport, self.loop, present=present, retry=retry, store=store, handoffs=handoffs, sink=sink)
        with _LOCK:
            _RECENT.append(run)
        task = self.loop.create_task(_lead(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def session(self, key: SessionKey) -> Backend:
        """Return the warm session for a key, opening it at first use."""
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = open_backend(key)
        return session

    async def close(self) -> None:
        """Cancel what runs, wait for it, close all sessions."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._close_sessions()

    async def _close_unless_shared(self) -> None:
        if len(self._tasks) <= 1:
            await self._close_sessions()

    async def _close_sessions(self) -> None:
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.close()
            _ENGINES.pop(self.loop, None)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector come seldom until the last run of the process has ended."""
    global _going_on, _usual_thresholds  # noqa: PLW0603 - the collector is the process's
    with _LOCK:
        _going_on += 1
        if _going_on == 1:
            _usual_thresholds = gc.get_threshold()
            gc.set_threshold(max(_OBJECTS_A_PASS, _usual_thresholds[0]), *_usual_thresholds[1:])
    try:
        yield
    finally:
        with _LOCK:
            _going_on -= 1
            if not _going_on:
                gc.set_threshold(*_usual_thresholds)


async def _lead(run: Run) -> None:
    with _rare_collections():
        await run.live()


def _backend_for(plan: Plan, proxy: str | None) -> str:
    options = plan.options
    return detect(
        options.backend,
        http2=options.http2,
        http3=options.http3,
        proxy=proxy,
        schemes=() if plan.auth is None else plan.auth.native_schemes,
    )


def engine_here() -> Engine:
    """Return the engine of the running loop, made at first use.

    Raises:
        RuntimeError: No loop is running in this thread.
    """
    loop = asyncio.get_running_loop()
    with _LOCK:
        for other in [other for other in _ENGINES if other.is_closed()]:
            del _ENGINES[other]
        engine = _ENGINES.get(loop)
        if engine is None:
            engine = _ENGINES[loop] = Engine(loop)
        return engine


def last_run() -> Run | None:
    """Return the newest run of this process, or None."""
    return _RECENT[-1] if _RECENT else None


def find_run(run_id: str) -> Run | None:
    """Return one of the last 10 runs by its id, or None when it is gone."""
    return next((run for run in reversed(_RECENT) if run.id == run_id), None)
