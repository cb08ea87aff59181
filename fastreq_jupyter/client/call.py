"""One call of a public function: its plan, how it is started, waited for and shown."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, cast

from fastreq_jupyter.backends import watches_sockets
from fastreq_jupyter.bridge import Waited, interruption, is_service, start, start_beside, wait_awaiting, wait_blocking
from fastreq_jupyter.client.credentials import reauthorized
from fastreq_jupyter.client.plan import make_plan
from fastreq_jupyter.client.results import carry_parsed, conclude, parse, present
from fastreq_jupyter.engine import Jar, engine_here, load_readers
from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.model import Outcome
from fastreq_jupyter.options import FRAMES, TABLE, Door, Options, check_expression
from fastreq_jupyter.policy import read_how, read_total
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fastreq_jupyter.client.credentials import SessionDefaults
    from fastreq_jupyter.engine import Handoffs, Run, Store
    from fastreq_jupyter.model import Item, Look, Plan, Request

_FRAME_ONLY = ("select", "expand", "explode", "columns", "to", "timings", "response_headers")
_TIED_TO_MEMORY = {
    "pages": "keeps all pages in memory",
    "dedup": "keeps answers in memory",
    "parse_func": "is applied when all is there",
    "expand": "makes columns that depend on the answers (load the rows, then df.fastreq.expand())",
}
_LIST_ONLY = ("return_none_on_failure",)


class Display(Protocol):
    """What shows one run while its caller waits; called on the thread that waits only.

    Attributes:
        lines_shown: Lines of the end that were shown: the closing line and notes.
    """

    lines_shown: Sequence[str]

    def tick(self, run: Run) -> None:
        """Show how far it is; called at once and then about ten times a second."""
        ...

    def close(self, run: Run | None) -> None:
        """Show how it ended; None where it never began."""
        ...


class Session:
    """What several calls share: cookies, defaults, headers and auth for one origin. Bound to the first loop it is used on.

    Attributes:
        home: Base URL, headers, auth.
        jar: Cookies.
        defaults: Options under those of each call.
    """

    def __init__(self, home: SessionDefaults, defaults: Options) -> None:
        self.home = home
        self.jar = Jar()
        self.defaults = defaults
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop it belongs to, None before its first use."""
        return self._loop

    def bind(self) -> None:
        """Belong to the running loop.

        Raises:
            UsageError: It is closed, or belongs to another loop already.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self.closed:
                raise UsageError("this FastRequests is closed: make a new one")
            if self._loop is not None and self._loop is not loop:
                raise UsageError("this FastRequests belongs to another event loop: make one for each loop")
            self._loop = loop


@dataclass(frozen=True, slots=True)
class Call:
    """What one call will do.

    Attributes:
        plan: Requests and options.
        jar: Cookies of the call or its session.
        session: The session, or None.
        is_retry: It tries failed requests of an earlier run again: what a journal knows of them does not count.
        auth_now: Gives the present value of the variable that option `auth` named, None where there is none.
    """

    plan: Plan
    jar: Jar
    session: Session | None = None
    is_retry: bool = False
    auth_now: Callable[[], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Import what the end of a run needs at its start: a run may use up the file descriptors."""
        load_readers(self.options)
        if self.options.return_type in FRAMES:
            import fastreq_jupyter.frame  # noqa: F401, PLC0415 - pandas is paid for by whoever wants a frame

    @property
    def options(self) -> Options:
        """Return the options of the plan."""
        return self.plan.options

    @property
    def loop(self) -> str:
        """Return where the run lives, as option `loop` says it: with its session, where an asynchronous source is read.

        libcurl needs a loop that watches sockets, as the service thread's.
        """
        options, home = self.options, None if self.session is None else self.session.loop
        if options.loop != "auto":
            return options.loop
        if home is not None:
            return "thread" if is_service(home) else "kernel" if home.is_running() else "auto"
        if isinstance(self.plan.requests, AsyncIterable):
            return "kernel"
        return "thread" if self.session is None and options.backend == "curl" and not watches_sockets() else "auto"

    def launch(self, handoffs: Handoffs | None = None) -> Run:
        """Start the run; must be called on the loop it is to live on.

        Raises:
            UsageError: The session belongs to another loop, or the backend cannot do what the options ask.
        """
        if self.session is not None:
            self.session.bind()
        sink = None
        if self.options.to is not None:
            from fastreq_jupyter.frame import open_dataset  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

            sink = open_dataset(self.plan)
        try:
            store = _open_store(self.plan, self.jar, is_retry=self.is_retry)
            if sink is not None and store is not None:
                store = cast("Store", _Resumed(store, sink))
            run = engine_here().submit(
                self.plan, present=present, jar=self.jar, store=store, handoffs=handoffs, sink=sink, retry=self._retry
            )
        except BaseException:
            if sink is not None:
                sink.abandon()
            raise
        run.ending = ended
        return run

    def _retry(self, run: Run, plan: Plan) -> Run:
        retry = replace(self, plan=self._authorized_anew(run.plan.options, plan), is_retry=True)
        if self.session is not None:
            # A session is bound to its loop.
            return carry_parsed(start_beside(run.loop, retry.launch), run)
        # The kernel's own loop may be blocked by the next cell, so runs do not stay on it.
        return carry_parsed(start(retry.launch, loop=retry.loop if self.options.loop == "auto" else "auto"), run)

    def _authorized_anew(self, before: Options, plan: Plan) -> Plan:
        """Return the plan with the auth that `retry_failed` was given, else with what the variable of `--auth` holds now."""
        options = plan.options
        if options.auth is before.auth and self.auth_now is not None and (auth := self.auth_now()) is not None:
            options = Options.of(options, auth=auth)
        if options.auth is before.auth or options.auth == before.auth:
            return plan
        home = None if self.session is None else self.session.home
        return reauthorized(replace(plan, options=options), before, jar=self.jar, home=home)


def call_of(urls: Any, arguments: Mapping[str, Any], *, session: Session | None = None, without: Collection[str] = ()) -> Call:
    """Return the call of a function.

    Args:
        urls: As `make_plan`.
        arguments: Options as the user gave them.
        session: The session whose method was called; else option `session`.
        without: Options that this door does not have: %config does not set them here.

    Raises:
        UsageError: One line.
    """
    session = session or session_of(arguments)
    options = Options.of(layered(session, without=without), **arguments)
    check_options(options)
    refuse(arguments, (name for name, row in TABLE.items() if "function" not in row.doors), "belongs to cells")
    jar = Jar() if session is None else session.jar
    plan = make_plan(urls, options, jar=jar, home=None if session is None else session.home)
    if options.loop == "thread" and isinstance(plan.requests, AsyncIterable):
        raise UsageError("an asynchronous source is read on the running loop: loop='thread' is not possible with it")
    return Call(plan, jar, session)


def layered(session: Session | None, *, door: Door = "function", without: Collection[str] = ()) -> Options:
    """Return the defaults of a call: the values of %config, overridden by those of the session.

    Args:
        session: The session, if there is one.
        door: Where the call comes in: %config may have set options that it does not know.
        without: More options to leave out.

    Raises:
        OptionError: Two options exclude each other.
    """
    settings = {} if _hooks.settings is None else _hooks.settings()
    chosen = {name: value for name, value in settings.items() if door in TABLE[name].doors and name not in without}
    base = Options.of(None, **chosen)
    return base if session is None else session.defaults.over(base)


def session_of(options: Mapping[str, Any]) -> Session | None:
    """Return the session among the options.

    Raises:
        OptionError: It is something else.
    """
    session = options.get("session")
    if session is not None and not isinstance(session, Session):
        raise OptionError(f"session is a {type(session).__name__}: give a FastRequests object", option="session")
    return session


def check_options(options: Options) -> None:
    """Refuse options that mean nothing for what is returned, and expressions that cannot be read.

    Raises:
        OptionError: One line.
    """
    lists = options.return_type not in FRAMES
    _check_installed(options.return_type)
    for name in _FRAME_ONLY if lists else _LIST_ONLY:
        if getattr(options, name) != TABLE[name].default:
            reason = f"needs return_type {'dataframe' if lists else 'json, text, content or response'}"
            raise OptionError(f"{name} {reason}", option=name, reason=reason)
    for name in ("select", "expand", "fail_when", "retry_when", "until"):
        expression = getattr(options, name)
        if isinstance(expression, str) and (name, expression) != ("until", "ready"):
            check_expression(expression, option=name)
    if options.pages is not None:
        read_how(options.pages)
        read_total(options.total)
    if options.to is not None:
        _check_leaving(options)


def _check_leaving(options: Options) -> None:
    if options.return_type != "dataframe":
        raise OptionError("to needs return_type dataframe", option="to", reason="needs return_type dataframe")
    for name, why in _TIED_TO_MEMORY.items():
        if getattr(options, name):
            reason = f"not possible with {name}, which {why}: leave one of them out"
            raise OptionError(f"to is {reason}", option="to", value=options.to, reason=reason)


def _check_installed(return_type: str) -> None:
    for module in {"polars": ("polars", "pyarrow"), "arrow": ("pyarrow",)}.get(return_type, ()):
        if find_spec(module) is None:
            reason = f"needs {module}: pip install 'fastreq-jupyter[{return_type}]'"
            raise OptionError(f"return_type={return_type!r} {reason}", option="return_type", value=return_type, reason=reason)


def refuse(options: Collection[str], names: Any, why: str) -> None:
    """Refuse options that this door does not have.

    Raises:
        OptionError: One of them was given.
    """
    for name in names:
        if name in options:
            raise OptionError(f"{name} is not possible here: it {why}", option=name)


def run_blocking(call: Call) -> tuple[Waited[Run], Sequence[str]]:
    """Launch, show and wait, blocking; return the run, and the lines of its end that were shown."""
    shown = _Shown(_open_display(call.options))
    waited: Waited[Run] | None = None
    try:
        waited = wait_blocking(call.launch, loop=call.loop, tick=shown.tick)
        # Before the closing line is shown, so that it counts failures of `parse_func`.
        parse(waited.run)
    finally:
        shown.close(waited)
    return waited, shown.lines_shown


async def run_awaiting(call: Call) -> tuple[Waited[Run], Sequence[str]]:
    """Launch, show and wait, awaiting; return the run, and the lines of its end that were shown."""
    shown = _Shown(_open_display(call.options))
    waited: Waited[Run] | None = None
    try:
        waited = await wait_awaiting(call.launch, loop=call.loop, tick=shown.tick)
        parse(waited.run)
    finally:
        shown.close(waited)
    return waited, shown.lines_shown


class _Shown:
    """A display whose failure is caught: it is dropped with a warning, and the run goes on."""

    def __init__(self, display: Display | None) -> None:
        self._display = display
        self._run: Run | None = None
        self.lines_shown: Sequence[str] = ()

    def tick(self, run: Run) -> None:
        self._run = run
        if self._display is not None:
            try:
                self._display.tick(run)
            except Exception as error:  # noqa: BLE001 - see the class
                self._drop(error)

    def close(self, waited: Waited[Run] | None) -> None:
        if self._display is not None:
            try:
                self._display.close(self._run if waited is None else waited.run)
                self.lines_shown = self._display.lines_shown
            except Exception as error:  # noqa: BLE001 - see the class
                self._drop(error)

    def _drop(self, error: Exception) -> None:
        self._display = None
        warnings.warn(one_line(f"the run goes on without its display: {type(error).__name__}: {error}"), RuntimeWarning, stacklevel=2)


async def ended(run: Run) -> Any:
    """Wait for a run that was started before, and return what its call gives; an interrupted cell ends as interrupted.

    Raises:
        KeyboardInterrupt: Interrupted; the run was cancelled, the finished rows are in it.
    """
    return result_of(await wait_awaiting(lambda: run), f"{run.name or 'last_run()'}.df")


def result_of(waited: Waited[Run], place: str = "last_run().df") -> Any:
    """Return what a call gives whose run has drained; an interrupted one ends as interrupted.

    Raises:
        KeyboardInterrupt: The finished rows are in `place`.
    """
    if waited.interrupted:
        raise interruption(where_it_stopped(waited.run, place))
    return conclude(waited.run)


def show_with(factory: Callable[[Options], Display | None] | None) -> None:
    """Register the function that opens the display of a run; set by the notebook layer."""
    _hooks.display = factory


def settings_with(settings: Callable[[], Mapping[str, Any]] | None) -> None:
    """Register the function that returns the options set by %config; set by the notebook layer."""
    _hooks.settings = settings


def where_it_stopped(run: Run, place: str) -> str:
    """Return the line an interrupted call ends with."""
    p = run.progress
    total = p.total
    if run.sink is not None:
        count = f"{p.done - p.cut_off - p.unsent:,}" + ("" if total is None else f" of {total:,}")
        return f"{count} rows were finished; they are in {run.sink.place}"
    rows = run.rows
    finished = sum(row.error != "cancelled" for row in rows)
    return f"{finished:,} of {len(rows) if total is None else total:,} rows were finished; they are in {place}"


class _Hooks:
    """What the notebook puts in."""

    display: Callable[[Options], Display | None] | None = None
    settings: Callable[[], Mapping[str, Any]] | None = None


_hooks = _Hooks()


def _open_display(options: Options) -> Display | None:
    return None if options.progress == "none" or _hooks.display is None else _hooks.display(options)


class _Resumed:
    """A journal beside rows that are there already: nothing is sent for these, whatever the journal knows. An `engine.Store`."""

    def __init__(self, store: Store, sink: Any) -> None:
        self._store = store
        self._sink = sink

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        stored = self._store.find(request, position)
        if not self._sink.holds(position):
            return stored
        self._sink.check(position, request)
        return stored if isinstance(stored, Outcome) and stored.ok else Outcome(position, request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _open_store(plan: Plan, jar: Jar, *, is_retry: bool) -> Store | None:
    options = plan.options
    if not options.caches:
        # Cookies set from now on may belong to anybody.
        jar.unseen = True
        if options.journal is None:
            return None
    # Imported here, since few runs need sqlite3.
    from fastreq_jupyter.journal import Both, Cache, Journal  # noqa: PLC0415 - loaded by whoever needs it

    cache = Cache(options, jar, plan.auth) if options.caches else None
    if options.journal is None:
        return cache
    journal = Journal(options, resent=cast("Iterable[Item]", plan.requests) if is_retry else None)
    if plan.chained:
        journal.look_ahead(None if plan.total is None else cast("Iterable[Item]", plan.requests))
    return journal if cache is None else Both(journal, cache)
