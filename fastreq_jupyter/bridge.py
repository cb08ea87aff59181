"""Where a run lives and how its caller waits: the only file that knows running loops and threads.

    the caller                              the run lives on             the caller waits
    awaits, in a cell or a coroutine        the running loop             natively
    calls, no loop runs here                a Runner kept per thread     by running it
    calls, inside a running loop            that loop                    nested (nest-asyncio, applied at the first such call)
    calls, in a turn that cannot nest       the service thread           blocked
    goes on while other cells compute       the service thread           not at all

A turn cannot nest in a loop that nest-asyncio does not know (uvloop), below `NESTED` calls that wait already, and where
asyncio's own ``_run_once`` is on the stack: it has counted the handles of the turn, a nested run takes them, and the loop
dies of it (erdewit/nest_asyncio#11). So the
call that has a loop patched waits for the service thread; later turns are nest-asyncio's, and nest.

The law of waiting: it is done in slices, because an interrupt does not wake an idle loop. An interrupt or a cancellation
there means: cancel the run, go on waiting until it has drained, and only then end; no finished row is lost on the way.
SIGINT becomes a mark that the waiter looks at, never an exception inside the engine.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
import weakref
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

__all__ = [
    "Mark",
    "Waited",
    "beside",
    "interruption",
    "is_service",
    "shell",
    "start",
    "start_beside",
    "wait_awaiting",
    "wait_blocking",
    "watch_interrupts",
]

SLICE = 0.1
"""Seconds between two looks for an interrupt."""
DRAIN = 5.0
"""Seconds a cancelled run gets to drain before its caller goes on without it."""
NESTED = 8
"""Calls that wait within each other on one thread; those beyond it, of a hundred tasks that block, would exhaust the stack."""
EXIT = 2.0
"""Seconds the interpreter's exit waits for the service thread at most."""


class RunHandle(Protocol):
    """The part of a run that waiting needs; safe from any thread."""

    finished: Future[None]

    def cancel(self) -> Any:
        """Ask the run to stop; returns at once."""


H = TypeVar("H", bound=RunHandle)
T = TypeVar("T")


class Waited(NamedTuple, Generic[H]):
    """A run that has drained, and whether an interrupt ended it."""

    run: H
    interrupted: bool


def wait_blocking(launch: Callable[[], H], *, loop: str = "auto", tick: Callable[[H], None] | None = None) -> Waited[H]:
    """Start a run and block until it has drained.

    Args:
        launch: Starts the run; called on the loop it will live on.
        loop: Option `loop`: auto, kernel or thread.
        tick: Called on this thread with the run, about ten times a second.

    Raises:
        OptionError: ``loop="kernel"`` inside a loop, or a turn of it, that cannot be nested.
    """
    running = _running_loop()
    if loop == "thread" or (running is not None and not _nests(running, must=loop == "kernel")):
        run = _call_on(_service.loop(), launch)
        with watch_interrupts() as mark:
            _block(run, mark, tick)
        return Waited(run, mark.hit)
    _per_thread.depth += 1
    try:
        with watch_interrupts() as mark:
            enter = _own_runner().run if running is None else running.run_until_complete
            return Waited(_run_to_end(enter, launch, mark, tick), mark.hit)
    finally:
        _per_thread.depth -= 1


async def wait_awaiting(launch: Callable[[], H], *, loop: str = "auto", tick: Callable[[H], None] | None = None) -> Waited[H]:
    """Start a run and wait natively until it has drained; see `wait_blocking`.

    Raises:
        asyncio.CancelledError: The waiting task was cancelled; the run was cancelled and has drained.
    """
    if loop == "thread":
        run = await asyncio.wrap_future(_post(_service.loop(), launch))
    else:
        run = launch()
    # Outside a cell's own task asyncio turns SIGINT into a cancellation; a KeyboardInterrupt would stop the loop.
    with watch_interrupts(active=_is_cell_task()) as mark:
        await _drain(run, mark, tick)
    return Waited(run, mark.hit)


def start(launch: Callable[[], H], *, loop: str = "auto") -> H:
    """Start a run and return at once; by itself it goes to the running loop outside IPython, else to the service thread.

    Raises:
        OptionError: ``loop="kernel"`` where no loop runs.
    """
    running = _running_loop()
    on_running_loop = loop == "kernel" or (loop == "auto" and running is not None and shell() is None)
    if on_running_loop and running is None:
        raise OptionError("loop='kernel' is not possible: no event loop runs here; give auto or thread")
    return launch() if on_running_loop else _call_on(_service.loop(), launch)


def start_beside(loop: asyncio.AbstractEventLoop, launch: Callable[[], T]) -> T:
    """Start something on the loop of an earlier run where that still goes on, else on the service thread; return at once."""
    return _call_on(loop if loop.is_running() else _service.loop(), launch)


def is_service(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether this is the service thread's loop."""
    return _service.serves(loop)


async def beside(function: Callable[[], T]) -> T:
    """Wait natively for a plain function that runs in a daemon thread of its own, while the loop goes on.

    A wait that is cancelled ends at once; the thread then ends by itself, its result is dropped.
    """
    future: Future[T] = Future()
    context = copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(function))
        except BaseException as error:  # noqa: BLE001 - the waiting task raises it
            future.set_exception(error)

    # Marked as running, so that a cancelled wait does not cancel it and the thread can set its result.
    future.set_running_or_notify_cancel()
    threading.Thread(target=work, name="fastreq beside", daemon=True).start()
    return await asyncio.wrap_future(future)


def shell() -> Any:
    """Return the IPython shell, None outside IPython."""
    # Another thread may be in the middle of importing it.
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


class _Service:
    """One loop on one daemon thread, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # After a fork the child has the object but not the thread.
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = _new_loop()
                self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="fastreq", daemon=True)
                self._thread.start()
            return self._loop

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop is self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not (self._closing or loop.is_closed()):
            # SystemExit and KeyboardInterrupt of a callback end run_forever; other runs live on this loop.
            with suppress(BaseException):
                loop.run_forever()
        with suppress(Exception):
            loop.run_until_complete(_wind_up())
            loop.close()

    def close(self) -> None:
        if self._thread is not None and self._loop is not None and self._thread.is_alive():
            self._closing = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(EXIT)


class _Owner:
    """The runner of one thread; it is closed when the thread ends, or at exit."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.runner = asyncio.Runner(loop_factory=_new_loop)
        weakref.finalize(self, _close_runner, self.runner, self.pid)


class _PerThread(threading.local):
    """What a thread has: its runner, and how many of its calls wait within each other."""

    owner: _Owner | None = None
    depth = 0


_service = _Service()
_per_thread = _PerThread()
atexit.register(_service.close)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _new_loop() -> asyncio.AbstractEventLoop:
    # Windows' default loop does not watch sockets, which libcurl needs; its pipes and processes are not used here.
    return asyncio.SelectorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()


def _is_cell_task() -> bool:
    """Tell whether the current task is a notebook cell itself, not a task that it made."""
    task = asyncio.current_task()
    return task is not None and getattr(task.get_coro(), "__qualname__", "").endswith("InteractiveShell.run_cell_async")


def _nests(loop: asyncio.AbstractEventLoop, *, must: bool) -> bool:
    """Tell whether a call may nest here and now; a loop that can be patched is, so that later turns nest.

    Raises:
        OptionError: It may not, and the run must live on this loop.
    """
    patchable = hasattr(loop, "_nest_patched") or isinstance(loop, asyncio.BaseEventLoop)
    if patchable and not hasattr(loop, "_nest_patched"):
        import nest_asyncio2  # noqa: PLC0415 - at first need: it makes tiny tasks 1.5 times slower in the whole process

        nest_asyncio2.apply(loop)
    deep = _per_thread.depth >= NESTED
    if patchable and not deep and not _in_counted_turn():
        return True
    if must and deep:
        raise OptionError(f"{NESTED} calls wait within each other on this event loop already: await them, or leave loop='kernel' away")
    if must and patchable:
        raise OptionError("the run must live on this event loop, which calls can nest in from its next turn on: run it again, or await it")
    if must:
        raise OptionError(f"loop='kernel' is not possible: no call nests in {type(loop).__module__}; give auto or thread, or await")
    return False


def _in_counted_turn() -> bool:
    """Tell whether asyncio's own ``_run_once`` is on the stack of this thread."""
    # The public ways to do this read the source files of every frame.
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the frame of the caller
    while frame is not None:
        if frame.f_code.co_name == "_run_once" and frame.f_globals.get("__name__") == "asyncio.base_events":
            return True
        frame = frame.f_back
    return False


def _own_runner() -> asyncio.Runner:
    owner = _per_thread.owner
    if owner is None or owner.pid != os.getpid():
        owner = _per_thread.owner = _Owner()
    return owner.runner


def _close_runner(runner: asyncio.Runner, pid: int) -> None:
    with suppress(Exception):
        if pid == os.getpid() and not runner.get_loop().is_running():
            runner.close()


def _run_to_end(
    enter: Callable[[Coroutine[Any, Any, None]], None], launch: Callable[[], H], mark: Mark, tick: Callable[[H], None] | None
) -> H:
    started: list[H] = []

    async def body() -> None:
        started.append(launch())
        await _drain(started[0], mark, tick)

    try:
        enter(body())
    except BaseException:
        # A signal handler of the user raised inside the loop.
        if started and not started[0].finished.done():
            started[0].cancel()
            enter(_drain(started[0], mark, None))
        raise
    return started[0]


def _turns(run: H, mark: Mark, tick: Callable[[H], None] | None) -> Iterator[None]:
    """Give turns of waiting until the run has drained; cancel it once the wait was broken off."""
    until: float | None = None
    if tick is not None and run.finished.done():
        # It was over before anybody looked; who shows runs shows this one, too.
        tick(run)
    while not run.finished.done() and (until is None or monotonic() < until):
        if tick is not None:
            tick(run)
        yield
        if until is None and mark.hit:
            until = monotonic() + DRAIN
            run.cancel()


async def _drain(run: H, mark: Mark, tick: Callable[[H], None] | None) -> None:
    future = asyncio.wrap_future(run.finished)
    cancelled: asyncio.CancelledError | None = None
    for _ in _turns(run, mark, tick):
        try:
            await asyncio.wait({future}, timeout=SLICE)
        except asyncio.CancelledError as error:
            cancelled, mark.hit = error, True
    if cancelled is not None:
        raise cancelled


def _block(run: H, mark: Mark, tick: Callable[[H], None] | None) -> None:
    for _ in _turns(run, mark, tick):
        try:
            run.finished.result(SLICE)
        except TimeoutError:
            pass
        except KeyboardInterrupt:
            mark.hit = True


def _call_on(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> T:
    if loop is _running_loop():
        return function()
    future = _post(loop, function)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


def _post(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def answer() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                future.set_exception(error)

    loop.call_soon_threadsafe(answer)
    return future


async def _wind_up() -> None:
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=EXIT / 2)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Mark:
    """Whether an interrupt came.

    Attributes:
        hit: True once it did.
    """

    hit = False


class _Interrupts:
    """The owner of SIGINT while somebody waits in the main thread; it marks every waiter.

    The default handler raises KeyboardInterrupt wherever the interpreter happens to be, which may be inside a task of the
    engine. Handlers that are a user's own are left alone.
    """

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._before: Any = signal.default_int_handler

    def add(self, mark: Mark) -> None:
        self._marks.append(mark)
        current = signal.getsignal(signal.SIGINT)
        module = getattr(getattr(current, "func", current), "__module__", None) or ""
        if current is signal.default_int_handler or module.partition(".")[0] in ("asyncio", "ipykernel", "IPython"):
            self._before = current
            signal.signal(signal.SIGINT, self._on_sigint)

    def remove(self, mark: Mark) -> None:
        self._marks.remove(mark)
        if not self._marks and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._before)

    def _on_sigint(self, number: int, frame: Any) -> None:
        if not self._marks:
            signal.default_int_handler(number, frame)
        for mark in self._marks:
            mark.hit = True


_interrupts = _Interrupts()


@contextmanager
def watch_interrupts(*, active: bool = True) -> Iterator[Mark]:
    """Take interrupts as marks until the block is left; does nothing in other threads than the main one, or unless `active`."""
    mark = Mark()
    if not active or threading.current_thread() is not threading.main_thread():
        yield mark
        return
    try:
        _interrupts.add(mark)
        yield mark
    finally:
        _interrupts.remove(mark)


def interruption(line: str) -> KeyboardInterrupt:
    """Return the exception an interrupted cell ends with; IPython shows its one line in place of a traceback."""
    error = KeyboardInterrupt(line)
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {line}"]  # type: ignore[attr-defined] # IPython looks for it
    return error
