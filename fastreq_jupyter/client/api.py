"""The doors of Python code: fastreq, fastreq_async, fastreq_stream, submit, FastRequests."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, Unpack

from fastreq_jupyter.bridge import start
from fastreq_jupyter.client.call import Session, call_of, refuse, result_of, run_awaiting, run_blocking
from fastreq_jupyter.client.credentials import SessionDefaults
from fastreq_jupyter.client.tables import preview_frame
from fastreq_jupyter.engine import Handoffs, StreamedOutcome
from fastreq_jupyter.errors import OptionError, hide_frames
from fastreq_jupyter.options import OptionArguments, Options, document_options
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from types import TracebackType

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.url import Origin

_NOT_STREAMED = (
    "return_type", "return_none_on_failure", "parse_func", "keys", "check", "save_to", "skip_existing", "journal", "fresh", "max_age",
    "dry_run", "select", "expand", "explode", "columns", "to", "timings", "response_headers", "progress", "loop",
    "parse", "fail_when", "retry_when", "until", "every", "patience",
    "cache", "cache_file", "offline",
)  # fmt: skip


@hide_frames
@document_options
def fastreq(urls: Any, **options: Unpack[OptionArguments]) -> Any:
    """Send requests and block until all are answered; works in a script, in a thread, and inside a running notebook loop.

    Args:
        urls: A str, a `Request`, or an iterable of these; a generator is drawn as needed.
        **options: See below.

    Returns:
        A DataFrame, one row per request in the order given. With another `return_type` one value for a str, a list for an
        iterable, a dict with `keys`.

    Raises:
        UsageError: Something is wrong with the arguments; one line, nothing was sent.
        PartialFailureError: A list was asked for and a request failed, or more failed than `check` tolerates.
        SourceError: `urls` raised while it was drawn from; the finished rows are in ``.df``.
        KeyboardInterrupt: Interrupted; the finished rows are in ``last_run().df``.
    """
    call = call_of(urls, options)
    if call.options.dry_run:
        return preview_frame(call.plan)
    return result_of(run_blocking(call)[0])


@hide_frames
@document_options
async def fastreq_async(urls: Any, **options: Unpack[OptionArguments]) -> Any:
    """Send requests on the running loop and wait until all are answered.

    Args:
        urls: As `fastreq`; asynchronous iterables too.
        **options: See below.

    Returns:
        As `fastreq`.

    Raises:
        UsageError: As `fastreq`, and so on.
        asyncio.CancelledError: The task was cancelled; the run has drained, the finished rows are in ``last_run().df``.
    """
    call = call_of(urls, options)
    if call.options.dry_run:
        return preview_frame(call.plan)
    return result_of((await run_awaiting(call))[0])


@hide_frames
@document_options
async def fastreq_stream(urls: Any, **options: Unpack[OptionArguments]) -> AsyncGenerator[StreamedOutcome, None]:
    """Send requests on the running loop and give each out as soon as its head is there, in order of completion.

    The slot of a request is held until its body was read (`aiter_bytes`, `read`) or closed (`aclose`), or its outcome was
    let go of; while all wait for a reader, a body that nobody begins to read within `timeout` is closed. Leaving the loop
    before its end cancels what is left.

    Args:
        urls: As `fastreq`; asynchronous iterables too.
        **options: See below; those that shape a result are refused.

    Yields:
        One `StreamedOutcome` per request.

    Raises:
        UsageError: As `fastreq`.
        SourceError: `urls` raised while it was drawn from.
    """
    refuse(options, _NOT_STREAMED, "shapes results, and a stream has none")
    call = call_of(urls, options, without=_NOT_STREAMED)
    handoffs = Handoffs(call.options)
    run = call.launch(handoffs)

    try:
        async for outcome in handoffs.arriving(run):
            yield outcome
            # A reference to an outcome occupies its slot.
            del outcome
        run.raise_error()
    finally:
        if not handoffs.abandoned:
            run.cancel()
            await run.drained()


@hide_frames
@document_options
def submit(urls: Any, **options: Unpack[OptionArguments]) -> Run:
    """Start requests and return at once: on the running loop inside a coroutine outside IPython, else on the service thread.

    Args:
        urls: As `fastreq`; asynchronous iterables only where the run lives on the running loop.
        **options: See below.

    Returns:
        The live handle; ``await run`` gives what `fastreq` returns.

    Raises:
        UsageError: As `fastreq`.
    """
    refuse(options, ("dry_run", "progress"), "belongs to calls that wait")
    call = call_of(urls, options)
    if call.options.dry_run:
        refuse(("dry_run",), ("dry_run",), "belongs to calls that wait")
    lazy = isinstance(call.plan.requests, AsyncIterable)
    return start(call.launch, loop="kernel" if lazy else call.loop)


class FastRequests(Session):
    """Cookies, headers, auth and options that several calls share; headers and auth go to the origin of `base_url` alone.

    It belongs to the event loop it is first used on, and raises at once on any other. Use it with ``async with``, or give it
    as option `session` and as ``--session NAME``.

    Args:
        base_url: What relative URLs are joined to.
        headers: Field lines for that origin.
        auth: Credentials for that origin, or a mapping of origins to credentials.
        cookies: Cookies for that origin.
        **options: Defaults of every call.

    Raises:
        OptionError: A wrong value; or secrets without a base_url, which would go anywhere.
    """

    @hide_frames
    def __init__(
        self,
        base_url: str | None = None,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        auth: Any = None,
        cookies: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        refuse(options, ("session", "keys", "dry_run"), "belongs to a single call")
        arguments: dict[str, Any] = {**options, "headers": headers, "auth": auth, "cookies": cookies}
        checked = Options.of(None, **arguments)
        home = SessionDefaults(base_url, checked.headers or (), checked.auth)
        own = {"headers", "auth", "cookies"}
        super().__init__(home, replace(checked, headers=None, auth=None, cookies=None, explicit=checked.explicit - own))
        if checked.cookies is not None:
            self.jar.set(checked.cookies, self._origin(None))

    @hide_frames
    @document_options
    async def request(self, urls: Any, **options: Unpack[OptionArguments]) -> Any:
        """Send requests with what the session holds; relative URLs are joined to its base_url.

        Args:
            urls: As `fastreq_async`.
            **options: Laid over the session's.

        Returns:
            As `fastreq`.

        Raises:
            UsageError: As `fastreq`; or the session is closed, or belongs to another loop.
        """
        refuse(options, ("session",), "is the object itself")
        call = call_of(urls, options, session=self)
        if call.options.dry_run:
            return preview_frame(call.plan)
        return result_of((await run_awaiting(call))[0])

    @hide_frames
    def set_cookies(self, cookies: Mapping[str, str], origin: str | None = None) -> None:
        """Keep cookies for one origin.

        Args:
            cookies: Names and values.
            origin: "https://host"; that of base_url by default.

        Raises:
            OptionError: There is no origin, or a name or value cannot be sent.
        """
        self.jar.set(cookies, self._origin(origin))

    def reset_cookies(self) -> None:
        """Forget all cookies, given and received."""
        self.jar.clear()

    async def close(self) -> None:
        """End the session: forget its cookies; its warm connections belong to the loop's engine and stay for others."""
        self.reset_cookies()
        self.closed = True

    async def __aenter__(self) -> Self:
        self.bind()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<FastRequests {self.home.origin or 'without base_url'}, {len(self.jar)} cookies{', closed' if self.closed else ''}>"

    def _origin(self, url: str | None) -> Origin:
        if url is not None:
            try:
                return parse_target(url).origin
            except ValueError as error:
                raise OptionError(f"origin is not possible ({error}): give 'https://host'") from None
        if self.home.origin is None:
            raise OptionError("cookies need base_url or an origin, so that they go there only")
        return self.home.origin
