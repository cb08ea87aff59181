"""A small shop, the same for the same seed: customers, their orders, the products in them."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Record", "Shop"]

Record = dict[str, Any]

PLACES = (
    ("Lisbon", "PT", 3),
    ("Porto", "PT", 1),
    ("Kraków", "PL", 2),
    ("Tōkyō", "JP", 4),
    ("Oslo", "NO", 1),
    ("Nairobi", "KE", 2),
    ("Montréal", "CA", 2),
    ("São Paulo", "BR", 3),
)
SEGMENTS = ("home", "studio", "office")
KINDS = {
    "light": ("desk lamp", "reading light", "lantern", "bulb", "strip"),
    "paper": ("notebook", "sketch pad", "envelopes", "labels", "ruled cards"),
    "desk": ("tray", "monitor stand", "cable box", "drawer", "footrest"),
    "write": ("pencil", "fineliner", "fountain pen", "marker", "brush"),
}
COLOURS = {"light": (242, 183, 5), "paper": (222, 210, 190), "desk": (140, 98, 57), "write": (38, 84, 124)}
STATUSES = ("delivered", "delivered", "delivered", "delivered", "shipped", "shipped", "returned")
FINISHES = ("black", "white")
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
MEAN_PAUSE_HOURS = 14


@dataclass(frozen=True, slots=True)
class Shop:
    """The records of the demo server.

    Attributes:
        customers: By id, from 1.
        orders: By id, from 1; `customer_id` names a customer, `lines[].sku` a product.
        products: By sku.
    """

    customers: dict[int, Record]
    orders: dict[int, Record]
    products: dict[str, Record]

    @classmethod
    def make(cls, seed: int = 1, *, customers: int = 120, orders: int = 600) -> Shop:
        """Make a shop; equal arguments give equal records."""
        chance = random.Random(seed)  # noqa: S311  records of a demo, no secrets
        people = {n: _customer(n, chance) for n in range(1, customers + 1)}
        goods = {record["sku"]: record for record in _products(chance)}
        bought: dict[int, Record] = {}
        moment = FIRST_DAY
        for n in range(1, orders + 1):
            moment += timedelta(hours=chance.expovariate(1 / MEAN_PAUSE_HOURS))
            bought[n] = _order(n, moment, chance, people, goods)
        return cls(people, bought, goods)

    def orders_of(self, customer_id: int) -> list[Record]:
        """Return the orders of one customer, oldest first."""
        return [order for order in self.orders.values() if order["customer_id"] == customer_id]

    def picture(self, sku: str) -> bytes:
        """Return a PNG of 32 x 32 pixels in the colour of the product's category.

        Raises:
            KeyError: There is no such product.
        """
        return png(32, 32, COLOURS[self.products[sku]["category"]])


def _customer(number: int, chance: random.Random) -> Record:
    city, country, _ = chance.choices(PLACES, weights=[weight for *_, weight in PLACES])[0]
    since = FIRST_DAY - timedelta(days=chance.randint(1, 900))
    return {
        "id": number,
        "name": f"Customer {number:03}",
        "segment": chance.choices(SEGMENTS, weights=(5, 3, 2))[0],
        "address": {"city": city, "country": country},
        "since": since.date().isoformat(),
        "newsletter": chance.choice((True, False, False)),
    }


def _products(chance: random.Random) -> list[Record]:
    names = [(kind, name, finish) for kind, names in KINDS.items() for name in names for finish in FINISHES]
    return [
        {
            "sku": f"{kind[0].upper()}{number:02}",
            "name": f"{name}, {finish}",
            "category": kind,
            "price": round(chance.uniform(2, 15) * (4 if kind == "desk" else 2 if kind == "light" else 1), 2),
            "stock": chance.randint(0, 80),
        }
        for number, (kind, name, finish) in enumerate(names, 1)
    ]


def _order(number: int, moment: datetime, chance: random.Random, people: dict[int, Record], goods: dict[str, Record]) -> Record:
    buyer = chance.choice(list(people.values()))
    most = {"home": 2, "studio": 4, "office": 9}[buyer["segment"]]
    lines = [
        {"sku": sku, "quantity": chance.randint(1, most), "price": goods[sku]["price"]}
        for sku in chance.sample(sorted(goods), chance.randint(1, 4))
    ]
    return {
        "id": number,
        "customer_id": buyer["id"],
        "placed_at": moment.isoformat(timespec="seconds"),
        "status": chance.choice(STATUSES),
        "lines": lines,
        "total": round(sum(line["quantity"] * line["price"] for line in lines), 2),
        "note": chance.choice((None, None, None, None, "please ring twice")),
    }


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a PNG image of one colour (PNG specification, third edition, 5 and 11).

    Args:
        width: Pixels, from 1.
        height: Pixels, from 1.
        colour: Red, green, blue, each 0..255.
    """
    rows = (b"\x00" + bytes(colour) * width) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
