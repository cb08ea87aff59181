"""libcurl's sockets and clocks on the running loop: no thread, no polling."""

from __future__ import annotations

import asyncio
import select
from math import inf
from typing import TYPE_CHECKING, Any

import pycurl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Drive"]

_BOTH = pycurl.CSELECT_IN | pycurl.CSELECT_OUT
# Epoll's words for what libcurl waits for, and the other way round; whatever else epoll says is told as both.
_WANTED = {pycurl.POLL_NONE: 0, pycurl.POLL_IN: 1, pycurl.POLL_OUT: 4, pycurl.POLL_INOUT: 5}
_CAME = {1: pycurl.CSELECT_IN, 4: pycurl.CSELECT_OUT}


class Drive:
    """libcurl's multi handle, called by the loop when a socket or a clock is ready.

    Its sockets stand in an epoll set of their own, which the loop watches as one: one event a turn, however many are ready.
    Where there is no epoll, the loop watches each.

    Args:
        finished: Called with a handle that has ended, libcurl's code and words.
        broken: Called when an interrupt came out of one of libcurl's callbacks.
    """

    def __init__(self, finished: Callable[[Any, int, str], None], broken: Callable[[], None]) -> None:
        self.multi = pycurl.CurlMulti()
        self._finished = finished
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._soon = self._closed = False
        self._watched: dict[int, int] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._loop.add_reader(self._epoll.fileno(), self._poll)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch if self._epoll is None else self._watch_epoll)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def close(self) -> None:
        """Close all connections; no handle may be in use."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.multi.close()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _watch_epoll(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            # It stays in the set: most are wanted again at once, and one that libcurl closes leaves by itself.
            self._watched.pop(descriptor, None)
            return
        epoll = self._epoll
        if epoll is None or self._closed:
            return
        self._watched[descriptor] = events = _WANTED[what]
        try:
            epoll.modify(descriptor, events)
        except FileNotFoundError:
            epoll.register(descriptor, events)

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        loop = self._loop
        if loop.is_closed():
            return
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)
        if what in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            loop.add_reader(descriptor, self._act, [(descriptor, pycurl.CSELECT_IN)])
        if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            loop.add_writer(descriptor, self._act, [(descriptor, pycurl.CSELECT_OUT)])

    def _poll(self) -> None:
        if self._epoll is None:
            return
        ready = []
        for descriptor, events in self._epoll.poll(0):
            if descriptor in self._watched:
                ready.append((descriptor, _CAME.get(events, _BOTH)))
            else:
                self._forget(descriptor)
        self._act(ready)

    def _forget(self, descriptor: int) -> None:
        """Take out an idle connection that has something to say: it is asked when libcurl wants to use it again."""
        if self._epoll is None:
            return
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            # Closed here, but open in a forked child: such a one can only be left behind.
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._poll)
            for watched, wanted in self._watched.items():
                self._epoll.register(watched, wanted)

    def _set_timer(self, milliseconds: int) -> None:
        if self._closed or self._loop.is_closed():
            return
        if milliseconds == 0:
            if not self._soon:
                self._soon = True
                self._loop.call_soon(self._act_soon)
            return
        self._due = inf if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        # A timer that goes off too early costs less than one set anew for each request.
        if self._due < inf and (self._timer is None or self._timer.when() > self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._act_timed)

    def _act_soon(self) -> None:
        self._soon = False
        self._act([(pycurl.SOCKET_TIMEOUT, 0)])

    def _act_timed(self) -> None:
        self._timer = None
        if self._loop.time() >= self._due - 0.001:
            self._due = inf
            self._act([(pycurl.SOCKET_TIMEOUT, 0)])
        elif self._due < inf:
            self._timer = self._loop.call_at(self._due, self._act_timed)

    def _act(self, events: Iterable[tuple[int, int]]) -> None:
        if self._closed:
            return
        act = self.multi.socket_action
        try:
            for descriptor, mask in events:
                act(descriptor, mask)
        except BaseException:
            # An interrupt came out of a callback: libcurl has given up, or waits for a socket that nobody watches.
            self._broken()
            raise
        waiting = 1
        while waiting:
            waiting, good, bad = self.multi.info_read()
            for curl in good:
                self._finished(curl.handle, 0, "")
            for curl, code, words in bad:
                self._finished(curl.handle, code, words)
