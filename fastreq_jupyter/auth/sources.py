"""Where tokens come from (an OAuth2 server, a function, an object with `get_token` or with `.token` and `.refresh`), and where they stay.

One token is kept per (auth, origin), in memory between runs, and renewed by one task however many wait, on whatever loops.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from time import monotonic, time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from fastreq_jupyter.auth.oauth2 import OAuth2, device_request, is_refused, polled, read_grant, read_sign_in, token_request
from fastreq_jupyter.auth.schemes import AuthError, Token, lifetime_of, token_of
from fastreq_jupyter.model import Request

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fastreq_jupyter.exchange import Response
    from fastreq_jupyter.url import Origin

LONGEST_WAIT = 900.0
"""Seconds that a function may take for a token: a person may have to sign in meanwhile."""
_MOST_KEPT = 64
_KEPT: OrderedDict[Hashable, tuple[Any, Keeper]] = OrderedDict()
_KEPT_LOCK = threading.Lock()


class Door(Protocol):
    """What a run lends to those who get tokens."""

    async def send(self, request: Request) -> Response:
        """Send a request by the run's own backend and return its answer; no redirect is followed.

        Raises:
            AuthError: No answer came.
        """
        ...

    def tell(self, line: str | None) -> None:
        """Show a line to the person who waits; None takes it back."""
        ...


Source = Callable[[Door], Awaitable[Token]]
"""Gives a new token for one origin; raises `AuthError` in one line where there is none."""


def gives_tokens(auth: Any) -> bool:
    """Tell whether a value of `auth` gives tokens that can be renewed."""
    return isinstance(auth, OAuth2) or callable(auth) or hasattr(auth, "get_token") or (hasattr(auth, "token") and hasattr(auth, "refresh"))


def source_of(auth: Any, origin: str) -> Source:
    """Return where the tokens of an auth come from.

    Args:
        auth: For which `gives_tokens` holds.
        origin: ``https://host``, for which they are.
    """
    if isinstance(auth, OAuth2):
        return OAuth2Source(auth).ask
    if hasattr(auth, "get_token"):
        # Azure identifies a resource by its origin.
        scopes = (f"{origin}/.default",) if _takes_one(auth.get_token) else ()
        return partial(_ask_function, lambda: auth.get_token(*scopes), f"auth: get_token of {type(auth).__name__}")
    if hasattr(auth, "token") and hasattr(auth, "refresh"):
        return Refreshed(auth).ask
    return partial(_ask_function, auth, f"auth: the function {getattr(auth, '__name__', type(auth).__name__)}")


async def _ask_function(function: Callable[[], Any], giver: str, _: Door) -> Token:
    """Return the token that a function gives: a coroutine function is asked on the loop, another in a thread of its own."""
    waits = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - of an object
    return token_of(await _guarded(_called(function) if waits else _in_thread(function), giver), giver)


class Refreshed:
    """An object as google-auth has them: `.token`, `.expiry`, `.valid`, and `.refresh(request)`."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._was_asked = False
        self._giver = f"auth: {type(credentials).__name__}"

    async def ask(self, door: Door) -> Token:
        """Return its token: at first the one it has if that is valid, later a refreshed one."""
        credentials = self._credentials
        if self._was_asked or not getattr(credentials, "valid", False):
            loop = asyncio.get_running_loop()
            refresh = credentials.refresh
            if inspect.iscoroutinefunction(refresh):
                await _guarded(refresh(_transport(door, loop)), f"{self._giver}.refresh")
            else:
                await _guarded(_in_thread(lambda: refresh(_transport(door, loop))), f"{self._giver}.refresh")
        self._was_asked = True
        expiry = getattr(credentials, "expiry", None)
        life = None
        if isinstance(expiry, datetime):
            # A time without a zone is UTC.
            life = lifetime_of((expiry if expiry.tzinfo else expiry.replace(tzinfo=UTC)).timestamp(), time())
        return token_of(credentials.token, self._giver, life)


class OAuth2Source:
    """A token endpoint, and the refresh token that it gave last."""

    def __init__(self, oauth: OAuth2) -> None:
        self._oauth = oauth
        self._refresh_token = oauth.refresh_token

    async def ask(self, door: Door) -> Token:
        """Return a new token."""
        oauth, refresh_token = self._oauth, self._refresh_token
        if oauth.device_url is not None and refresh_token is None:
            return await self._sign_in(door)
        answer = await door.send(token_request(oauth, refresh_token=refresh_token))
        if oauth.device_url is not None and is_refused(answer):
            self._refresh_token = None
            return await self._sign_in(door)
        return self._token_from(answer, frozenset({refresh_token} if refresh_token else ()))

    async def _sign_in(self, door: Door) -> Token:
        """Let a person grant it, asking for the outcome meanwhile."""
        oauth = self._oauth
        waiting = read_sign_in(oauth, await door.send(device_request(oauth)))
        secret = frozenset({waiting.device_code})
        door.tell(waiting.words)
        try:
            while True:
                await asyncio.sleep(min(waiting.interval, max(0.0, waiting.until - monotonic())))
                if monotonic() >= waiting.until:
                    raise AuthError("the code for the sign-in was not used in time: run it again for a new one")
                answer = await door.send(token_request(oauth, device_code=waiting.device_code))
                following = polled(waiting, answer)
                if following is None:
                    return self._token_from(answer, secret)
                waiting = following
        finally:
            door.tell(None)

    def _token_from(self, answer: Response, secrets: frozenset[str]) -> Token:
        grant = read_grant(self._oauth, answer, secrets)
        # Kept where a refresh token was given or a person signed in; a server may issue a new one each time.
        if grant.refresh_token and (self._refresh_token or self._oauth.device_url):
            self._refresh_token = grant.refresh_token
        return grant.token


async def _called(function: Callable[[], Any]) -> Any:
    return await function()


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Call a function in a thread that nobody has to wait for at the end; what it gives may be a coroutine."""
    future: Future[tuple[Any, BaseException | None]] = Future()
    context = copy_context()

    def work() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except BaseException as raised:  # noqa: BLE001 - told to whoever waits, what no future may hold included
            error = raised
        # After the end of the run nobody waits for the result.
        with suppress(InvalidStateError):
            future.set_result((value, error))

    threading.Thread(target=work, name="fastreq-auth", daemon=True).start()
    value, error = await asyncio.wrap_future(future)
    if error is not None:
        raise error if isinstance(error, Exception) else _StrangeError(type(error).__name__).with_traceback(error.__traceback__)
    return await value if inspect.isawaitable(value) else value


class _StrangeError(Exception):
    """Wraps an exception that no task may raise: an exit, a cancellation."""


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind("scope")
    except TypeError:
        return False
    except ValueError:
        return True
    return True


async def _guarded(work: Awaitable[Any], giver: str) -> Any:
    """Return what somebody else's code gives.

    Raises:
        AuthError: It raised, or took too long. What it said may hold secrets, so only the kind and the line are told.
    """
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            return await work
    except AuthError:
        raise
    except TimeoutError as error:
        why = f"gave nothing within {LONGEST_WAIT:.0f} s" if isinstance(error.__cause__, asyncio.CancelledError) else "raised TimeoutError"
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        why = _how(error)
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        why = _how(error)
    raise AuthError(f"{giver} {why}")


def _how(error: BaseException) -> str:
    """Return the kind of an exception, and the line of the user's code that raised it."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    kind = str(error) if isinstance(error, _StrangeError) else type(error).__name__
    return f"raised {kind}, line {line}"


def _transport(door: Door, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Return what google-auth sends its requests with; it is called in a thread."""

    def send(url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **_: Any) -> Any:  # noqa: ARG001 - their names
        request = Request(method, url, headers=headers, data=body)
        answer = asyncio.run_coroutine_threadsafe(door.send(request), loop).result()
        return SimpleNamespace(status=answer.status, headers={name.lower(): value for name, value in answer.headers}, data=answer.content)

    return send


class Keeper:
    """The token of one auth for one origin, and its renewal. Thread-safe: runs on several loops may share it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._flight: Future[Token] | None = None

    @property
    def ready(self) -> Token | None:
        """Return the token if it can be used as it is."""
        token = self._token
        return token if token is not None and monotonic() < token.renew_at else None

    def refuse(self, token: Token) -> None:
        """Forget a token that a server refused; a newer one stays."""
        with self._lock:
            if self._token is token:
                self._token = None

    async def token(self, door: Door, tasks: set[asyncio.Task[None]]) -> Token:
        """Return the token, got or renewed before if need be.

        Args:
            door: Lent to the source if it is asked.
            tasks: Takes the task that asks; whoever gave the set cancels what is in it at the end.

        Raises:
            AuthError: There is none.
        """
        while True:
            with self._lock:
                if (ready := self.ready) is not None:
                    return ready
                flight = self._flight
                if flight is None:
                    flight = self._flight = Future()
                    flight.set_running_or_notify_cancel()
                    task = asyncio.get_running_loop().create_task(self._fly(flight, door))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    # Also where the task was cancelled before its first step.
                    task.add_done_callback(partial(self._give_up, flight))
            try:
                return await asyncio.wrap_future(flight)
            except _GivenUpError:
                # The run that requested the token was ended: the next one requests it.
                continue

    async def _fly(self, flight: Future[Token], door: Door) -> None:
        try:
            token = await self._source(door)
        except Exception as error:  # noqa: BLE001 - told to all who wait
            self._end(flight, None, error)
        else:
            self._end(flight, token, None)

    def _give_up(self, flight: Future[Token], _: asyncio.Task[None]) -> None:
        self._end(flight, None, _GivenUpError())

    def _end(self, flight: Future[Token], token: Token | None, error: Exception | None) -> None:
        with self._lock:
            if self._flight is not flight:
                return
            self._flight = None
            self._token = token
        if error is None:
            assert token is not None  # noqa: S101 - one of the two
            flight.set_result(token)
        else:
            flight.set_exception(error)


class _GivenUpError(Exception):
    """What those who wait get when nobody asks any more."""


def keeper_of(auth: Any, origin: Origin) -> Keeper:
    """Return the one keeper of an auth for an origin; that of an OAuth2 server is for all origins that it was given for."""
    where = None if isinstance(auth, OAuth2) else origin
    try:
        # Bound methods are new objects at each access, but compare equal.
        key: Hashable = (hash(auth), auth, where)
    except TypeError:
        key = (id(auth), where)
    with _KEPT_LOCK:
        entry = _KEPT.get(key)
        if entry is None:
            entry = _KEPT[key] = (auth, Keeper(source_of(auth, str(origin))))
            while len(_KEPT) > _MOST_KEPT:
                _KEPT.popitem(last=False)
        _KEPT.move_to_end(key)
        return entry[1]
