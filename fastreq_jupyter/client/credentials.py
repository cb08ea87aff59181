"""Assigns credentials to requests: a secret is sent to its own origin only.

What stays as it is (a pair, a bearer token, an API key) is put on the request here. Tokens that are renewed, and what the
backend's library works out, go on each exchange in the engine: here is only told which origin they are for.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from fastreq_jupyter.auth import ApiKey, Native, bearer_line, gives_tokens
from fastreq_jupyter.content import with_params
from fastreq_jupyter.engine import read_cookies
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.model import Deferred, Item, Look, Outcome, Page, Request, Unsendable, copy_request
from fastreq_jupyter.redact import is_secret_header
from fastreq_jupyter.url import Origin, Target, parse_target, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.model import Plan
    from fastreq_jupyter.options import Options


def reauthorized(plan: Plan, before: Options, *, jar: Jar, home: SessionDefaults | None) -> Plan:
    """Return the plan of a run that sends requests again, with the auth of its options in place of the one they were given.

    Args:
        plan: Its requests have what the options `before` gave them.
        before: Those of the run before.
        jar: Cookies.
        home: What a `FastRequests` adds.

    Raises:
        OptionError: The auth goes with no header of the same call.
    """
    old, new = RequestDefaults(before, jar=jar, home=home), RequestDefaults(plan.options, jar=jar, home=home)

    def anew(request: Request) -> Item:
        return new.apply(old.undone(request))

    def changed(item: Item) -> Item:
        if isinstance(item, (Look, Page)):
            shown = anew(item.shown)
            item = replace(item, shown=shown) if isinstance(shown, Request) else item
        if isinstance(item, Page):
            template = anew(item.link.template)
            item = replace(item, link=replace(item.link, template=template)) if isinstance(template, Request) else item
        return _changed(item, anew)

    return replace(plan, requests=[changed(item) for item in cast("list[Item]", plan.requests)], auth=new.authority)


class SeveralOriginsError(OptionError):
    """One auth was given for several origins."""


class Credentials:
    """What each target gets: a value for Authorization, an `ApiKey`, what gives tokens, or a `Native` scheme.

    Args:
        auth: Checked option `auth`: one of these, (user, password), a bearer token, or a mapping of origins to all these.
        origin: The only origin of a single auth; None binds it to the first one that is asked for.

    Raises:
        OptionError: A key of the mapping is no origin.
    """

    def __init__(self, auth: Any, origin: Origin | None = None) -> None:
        self._values: dict[Origin, Any] = {}
        self._single: Any = None
        if isinstance(auth, Mapping):
            self._values = {_origin_of(key): _settled(value) for key, value in auth.items()}
        elif auth is not None and origin is not None:
            self._values = {origin: _settled(auth)}
        elif auth is not None:
            self._single = _settled(auth)

    def __bool__(self) -> bool:
        return bool(self._values) or self._single is not None

    @property
    def all(self) -> list[Any]:
        """Return what there is, whatever origin it is for."""
        return [*self._values.values(), *([] if self._single is None else [self._single])]

    @property
    def has_keys(self) -> bool:
        """Tell whether there is something for requests that have an Authorization of their own."""
        return any(isinstance(auth, ApiKey) for auth in self.all)

    def known_for(self, origin: Origin) -> Any:
        """Return what an origin gets that was asked for already; None for another."""
        return self._values.get(origin)

    def value_for(self, target: Target) -> Any:
        """Return what a target gets, or None.

        Raises:
            SeveralOriginsError: A single auth is asked for a second origin.
        """
        if self._single is not None and not self._values:
            self._values[target.origin] = self._single
        value = self._values.get(target.origin)
        if value is None and self._single is not None:
            first = next(iter(self._values))
            raise SeveralOriginsError(f"one auth for several origins ({first} and {target.origin}): give auth={{origin: credentials}}")
        return value


class SessionDefaults:
    """What a `FastRequests` adds to requests: headers and auth for its origin alone.

    Args:
        base_url: URL that relative ones are joined to; its origin is where headers and auth go.
        headers: Checked option `headers`.
        auth: Checked option `auth`.

    Raises:
        OptionError: `base_url` is no http or https URL, or secrets were given that have no origin.
    """

    def __init__(self, base_url: str | None = None, headers: Headers = (), auth: Any = None) -> None:
        self.base_url = base_url
        self.headers = headers
        self.target = None if base_url is None else _base_target(base_url)
        self.origin = None if self.target is None else self.target.origin
        if self.origin is None:
            secret = next((name for name, _ in headers if is_secret_header(name)), None)
            if secret or (auth is not None and not isinstance(auth, Mapping)):
                raise OptionError(f"{f'the header {secret}' if secret else 'auth'} needs base_url, so that it goes to that origin only")
        self.credentials = Credentials(auth, self.origin)

    def join(self, url: str) -> str:
        """Return the URL below `base_url` where it is relative ("users", "/users"), as it is elsewhere."""
        if self.base_url is None or "://" in url.partition("?")[0]:
            return url
        base = self.base_url.partition("?")[0].partition("#")[0]
        return f"{base.rstrip('/')}/{url.lstrip('/')}" if url and url[0] not in "?#" else base + url

    def headers_for(self, target: Target) -> Headers:
        """Return the field lines this origin gets."""
        return self.headers if self.origin in (None, target.origin) else ()


def _changed(item: Item, change: Callable[[Request], Any]) -> Item:
    """Return the item with its request changed, now or when it is known."""
    if isinstance(item, Request):
        changed: Item = change(item)
        return changed
    if isinstance(item, Deferred):
        resolve = item.resolve

        def resolved(outcomes: Sequence[Outcome]) -> Any:
            result = resolve(outcomes)
            return change(result) if isinstance(result, Request) else result

        return replace(item, resolve=resolved)
    return item


def _settled(auth: Any) -> Any:
    """Return the value of Authorization where it is known already, all else as it is."""
    if isinstance(auth, str):
        return bearer_line(auth)
    if isinstance(auth, tuple):
        user, password = auth
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")
    return auth


def _origin_of(key: str) -> Origin:
    try:
        return parse_target(key).origin
    except ValueError as error:
        raise OptionError(f"auth: a key is no origin ({error}): give 'https://host'") from None


def _base_target(base_url: str) -> Target:
    try:
        return parse_target(base_url)
    except ValueError as error:
        raise OptionError(f"base_url is not possible ({error}): give an http or https URL") from None


class RequestDefaults:
    """What a run's options and its session add to requests, to each origin its own.

    Args:
        options: `auth` goes to its origin, or by a mapping to several.
        jar: Where cookies are put.
        home: Defaults of a `FastRequests`.

    Raises:
        OptionError: A cookie that cannot be sent.
    """

    def __init__(self, options: Options, *, jar: Jar, home: SessionDefaults | None) -> None:
        self._home = home or SessionDefaults()
        self._credentials = Credentials(options.auth)
        self.single_auth = options.auth is not None and not isinstance(options.auth, dict)
        self._cookies = options.cookies or ()
        # Checked before anything is sent; the jar parses them itself.
        read_cookies(self._cookies)
        _refuse_two(options)
        self._jar = jar
        self._met: set[Origin] = set()
        both = (*self._credentials.all, *self._home.credentials.all)
        self._live = any(_is_live(auth) for auth in both)
        self.native_schemes = frozenset(auth.scheme for auth in both if isinstance(auth, Native))
        self._plain = not (self._credentials or self._home.credentials or self._home.headers or self._home.base_url)

    @property
    def idle(self) -> bool:
        """Tell whether no request is given anything."""
        return self._plain and not self._cookies

    @property
    def authority(self) -> RequestDefaults | None:
        """Return itself where the engine has to ask it for credentials."""
        return self if self._live else None

    def auth_for(self, origin: Origin) -> Any:
        """Return what gives tokens for an origin, or is done by the backend's library (see `Authority.auth_for`)."""
        auth = self._credentials.known_for(origin)
        if auth is None:
            auth = self._home.credentials.known_for(origin)
        return auth if _is_live(auth) else None

    def check(self, requests: Iterable[Request]) -> None:
        """Refuse one auth for several origins before anything is sent.

        Raises:
            SeveralOriginsError: The requests go to more than one.
        """
        for request in requests:
            target = target_of(self._home.join(request.url))
            if target is not None and target.user is None:
                self._credentials.value_for(target)

    def apply(self, item: Item) -> Item:
        """Return the item with what its origin gets; an outcome known already stays as it is."""
        return item if self._plain else _changed(item, self._apply_to)

    def undone(self, request: Request) -> Request:
        """Return the request without what `apply` gave it of the call's auth, to be given something else."""
        target = target_of(request.url)
        try:
            auth = None if target is None else self._credentials.value_for(target)
        except SeveralOriginsError:
            return request
        url, line = request.url, ("Authorization", auth)
        if isinstance(auth, ApiKey):
            line = (auth.name, auth.value)
            if auth.where == "query":
                before, parameter, after = url.rpartition(with_params("", {auth.name: auth.value}).lstrip("?"))
                url = before[:-1] + after if parameter else url
        headers = tuple(field for field in request.headers if field != line)
        if url == request.url and len(headers) == len(request.headers):
            return request
        return copy_request(request, url=url, headers=headers)

    def give_cookies(self, url: str) -> None:
        """Put option `cookies` into the jar for the origin of a given URL."""
        if self._cookies:
            target = target_of(self._home.join(url))
            if target is not None and target.origin not in self._met:
                self._met.add(target.origin)
                self._jar.set(self._cookies, target.origin)

    def _apply_to(self, request: Request) -> Request | Unsendable:
        url = self._home.join(request.url)
        target = target_of(url)
        if target is None:
            # The engine reports what is wrong with it in the row of the request.
            return request
        added = [line for line in self._home.headers_for(target) if request.header(line[0]) is None]
        try:
            auth = self._auth_of(request, target)
        except SeveralOriginsError as error:
            return Unsendable(request, "invalid value", str(error))
        if isinstance(auth, ApiKey):
            secrets = auth.secrets
            if auth.where == "query":
                url = with_params(url, {auth.name: auth.value})
            else:
                added = [line for line in added if line[0].lower() != auth.name.lower()] + [(auth.name, auth.value)]
        else:
            secrets = frozenset()
            if auth is not None:
                added = [line for line in added if line[0].lower() != "authorization"]
            if isinstance(auth, str):
                added.append(("Authorization", auth))
        if not added and url == request.url:
            return request
        return copy_request(request, url=url, headers=(*added, *request.headers), secrets=secrets)

    def _auth_of(self, request: Request, target: Target) -> Any:
        """Return what a request gets of the call's auth, or else of its session's; nothing in place of its own.

        Raises:
            SeveralOriginsError: A single auth is asked for a second origin.
        """
        has_own = target.user is not None or request.header("authorization") is not None
        for credentials in (self._credentials, self._home.credentials):
            if has_own and not credentials.has_keys:
                continue
            auth = credentials.value_for(target)
            if isinstance(auth, ApiKey):
                return None if _carries(request, target, auth) else auth
            if auth is not None and not has_own:
                return auth
        return None


def _carries(request: Request, target: Target, key: ApiKey) -> bool:
    """Tell whether a request has the field of an API key itself."""
    if key.where == "header":
        return request.header(key.name) is not None
    return any(name == key.name for name, _ in parse_qsl(target.path_query.partition("?")[2], keep_blank_values=True))


def _is_live(auth: Any) -> bool:
    return isinstance(auth, Native) or (auth is not None and not isinstance(auth, (str, ApiKey)) and gives_tokens(auth))


def _refuse_two(options: Options) -> None:
    """Refuse an auth and a header of the same call that would take its place.

    Raises:
        OptionError: Both were given.
    """
    auth = options.auth
    if auth is None or isinstance(auth, Mapping) or not options.headers:
        return
    name = "authorization" if not isinstance(auth, ApiKey) else auth.name.lower() if auth.where == "header" else ""
    if any(header.lower() == name for header, _ in options.headers):
        raise OptionError(
            f"auth and the header {'Authorization' if name == 'authorization' else name} were both given: give one of them",
            option="auth",
            reason="goes with no such header of its own: give one of them",
        )
