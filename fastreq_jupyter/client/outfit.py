"""What every request of a run is given on its way: credentials, cookies, and the defaults of a session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.client.credentials import Credentials, Home, SeveralOriginsError
from fastreq_jupyter.engine.cookies import read_cookies
from fastreq_jupyter.model import Deferred, Item, Outcome, Request, Unsendable, copy_request
from fastreq_jupyter.url import Origin, Target, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine.cookies import Jar
    from fastreq_jupyter.options import Options

__all__ = ["Outfit"]


class Outfit:
    """Dress requests with what a run's options and its session add, each origin with its own.

    Args:
        options: `auth` goes to its origin, or by a mapping to several.
        jar: Where cookies are put.
        home: Defaults of a `FastRequests`.

    Raises:
        OptionError: A cookie that cannot be sent.
    """

    def __init__(self, options: Options, *, jar: Jar, home: Home | None) -> None:
        self._home = home or Home()
        self._credentials = Credentials(options.auth)
        self.single_auth = options.auth is not None and not isinstance(options.auth, dict)
        self._cookies = options.cookies or ()
        # Checked before anything is sent; the jar reads them itself.
        read_cookies(self._cookies)
        self._jar = jar
        self._met: set[Origin] = set()
        self._plain = not (self._credentials or self._home.credentials or self._home.headers or self._home.base_url)

    @property
    def idle(self) -> bool:
        """Tell whether no request is given anything."""
        return self._plain and not self._cookies

    def check(self, requests: Iterable[Request]) -> None:
        """Refuse one auth for several origins before anything is sent.

        Raises:
            SeveralOriginsError: The requests go to more than one.
        """
        for request in requests:
            target = _target(self._home.join(request.url))
            if target is not None and target.user is None:
                self._credentials.value_for(target)

    def dress(self, item: Item) -> Item:
        """Return the item with what its origin gets; an outcome known already stays as it is."""
        if self._plain:
            return item
        if isinstance(item, Request):
            return self._dress_request(item)
        if isinstance(item, Deferred):
            resolve = item.resolve

            def dressed(outcomes: Sequence[Outcome]) -> Request | Unsendable | Outcome:
                found = resolve(outcomes)
                return self._dress_request(found) if isinstance(found, Request) else found

            return replace(item, resolve=dressed)
        return item

    def give_cookies(self, url: str) -> None:
        """Put option `cookies` into the jar for the origin of a given URL."""
        if self._cookies:
            target = _target(self._home.join(url))
            if target is not None and target.origin not in self._met:
                self._met.add(target.origin)
                self._jar.set(self._cookies, target.origin)

    def _dress_request(self, request: Request) -> Request | Unsendable:
        url = self._home.join(request.url)
        target = _target(url)
        if target is None:
            return request
        added = [line for line in self._home.headers_for(target) if request.header(line[0]) is None]
        if request.header("authorization") is None and target.user is None:
            try:
                value = self._credentials.value_for(target) or self._home.credentials.value_for(target)
            except SeveralOriginsError as error:
                return Unsendable(request, "invalid value", str(error))
            if value is not None:
                added = [line for line in added if line[0].lower() != "authorization"] + [("Authorization", value)]
        if not added and url == request.url:
            return request
        return copy_request(request, url=url, headers=(*added, *request.headers))


def _target(url: str) -> Target | None:
    try:
        return parse_target(url)
    except ValueError:
        # The engine says what is wrong with it, in the request's row.
        return None
