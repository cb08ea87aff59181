"""One fault: what the server does, and what the row must say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faultserver.server import Door, FaultServer, RawScript, Script

__all__ = ["ANY", "Fault", "Site", "table"]

ANY: Any = type("Any", (), {"__repr__": lambda _self: "ANY", "__eq__": lambda _self, _other: True, "__hash__": lambda _self: 0})()


@dataclass(frozen=True, slots=True)
class Site:
    """Hold a fault set up on a running server: where it is, what doors it has, what options reach it."""

    url: str
    doors: tuple[Door, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe one misbehaviour.

    Attributes:
        name: What the server does.
        error: The row's `error`; None where the answer is good and must be taken.
        refusal: The error that a client may give in place of a good answer: RFC 9110 and 9112 leave it to the client.
        script: Of its door; or `raw`, or `build` where more than a door is needed.
        status: The row's status where it is certain.
        data: The row's `data` where it is certain.
        method: Of the request.
        content: Of a POST.
        tls: Kind of certificate of its door.
        options: Of the run; faults with equal ones share a run.
    """

    name: str
    error: str | None
    script: Script | None = None
    raw: RawScript | None = None
    build: Callable[[FaultServer], Site] | None = None
    status: Any = ANY
    data: Any = ANY
    method: str = "GET"
    content: str = "payload"
    refusal: str | None = None
    tls: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def set_up(self, server: FaultServer) -> Site:
        """Open its door, an origin of its own, so that no fault can slow or pause another."""
        if self.build is not None:
            return self.build(server)
        door = server.open(self.script, raw=self.raw, name=self.name, tls=self.tls)
        return Site(door.url("/thing"), (door,), self.options)


def table(*faults: Fault) -> dict[str, Fault]:
    """Return faults by name.

    Raises:
        ValueError: Two have the same name.
    """
    found = {fault.name: fault for fault in faults}
    if len(found) != len(faults):
        message = "two faults of the same name"
        raise ValueError(message)
    return found
