"""A server that misbehaves on purpose, byte by byte, and keeps a log of what arrived and when.

    with FaultServer() as server:
        door = server.open(scripts.reply(200, b"hello"))     # an origin of its own, ephemeral port
        get(door.url("/x"))
        door.arrivals[0].headers                             # what came in

`server` holds the machine, `scripts` what it can say, `bodies` and `bombs` what it sends, `proxies` the proxies,
`faults` the table FAULTS from which contract tests are generated.
"""

from faultserver.server import Arrival, Call, Door, FaultServer, Link, Script

__all__ = ["Arrival", "Call", "Door", "FaultServer", "Link", "Script"]
