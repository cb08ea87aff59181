"""What the demo server answers, and what it counts.

What it does not on purpose it does well; what goes wrong goes wrong in the same way each time: orders whose id is a
multiple of 17 answer 503 on every odd request, so that one retry helps.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from aiohttp import web

from fastreq_jupyter.demo.feeds import KINDS, QUOTA, UNKIND, Feeds, Quota
from fastreq_jupyter.demo.graphql import answer
from fastreq_jupyter.demo.tokens import TOKEN_SECONDS, Tokens

if TYPE_CHECKING:
    from fastreq_jupyter.demo.shop import Record, Shop

__all__ = ["PATHS", "Api"]

LONGEST_DELAY = 30.0
FLAKY = 17
LOOKS = 2
PER_PAGE = 20
MOST_PER_PAGE = 100
PATHS = {
    "/customers": "page by page: ?page=1&per_page=20, with total and a Link header",
    "/customers/{id}": "one customer",
    "/customers/{id}/orders": "the orders of one customer, a list",
    "/customers.csv": "all customers as CSV",
    "/orders": "page by page; ?customer_id=7 for one customer",
    "/orders/{id}": f"one order; multiples of {FLAKY} answer 503 on every odd request",
    "/products": "page by page",
    "/products/{sku}": "one product",
    "/products/{sku}/image": "its picture, PNG",
    "/limited/{n}": f"more than {QUOTA} requests a second answer 429 with Retry-After",
    "/feed/{kind}": f"orders in pages: {', '.join(KINDS)}; ?limit=20, and ?unkind={'|'.join(UNKIND)}",
    "/quota/{n}": f"{QUOTA} requests a second; tells what is left and when there is more, never Retry-After",
    "/delay/{seconds}": f"answers after that time, at most {LONGEST_DELAY:.0f} s",
    "/status/{code}": "answers with that status code",
    "/headers": "the request's headers",
    "/invoices/{id}": "a text, named by Content-Disposition; parts can be asked for",
    "/upload/{name}": "PUT, POST: how many bytes were sent",
    "/post": "POST, PUT, PATCH: what was sent",
    "/gzip": "a compressed body",
    "/jobs": f"POST: 202 with the Location of a job that is over at the {LOOKS + 1}rd look",
    "/jobs/{id}": "how it stands",
    "/login": 'POST {"user": "demo", "password": "demo"}: a bearer token',
    "/me": "needs the token: Authorization: Bearer ...",
    "/token": f"OAuth2 for client demo, secret demo (client_credentials, refresh_token): a token good for {TOKEN_SECONDS} s",
    "/device": "begins a sign-in of client demo (device_code); somebody agrees at the second question",
    "/private/orders": "as /orders, with a token of /token; so is /private/orders/{id}",
    "/graphql": "POST: customer(id), customers(first, after), addNote(customer, text)",
    "/stats": "what the server measured; DELETE begins anew",
}


class Api:
    """What answers requests and counts them; lives on the server's loop."""

    def __init__(self, shop: Shop, jitter: tuple[float, float]) -> None:
        self.shop = shop
        self.jitter = jitter
        self.token = secrets.token_urlsafe(24)
        self.tokens = Tokens()
        self.in_flight = 0
        self.visits: Counter[str] = Counter()
        self.feeds, self.quotas, self.limit = Feeds(), Quota(), Quota()
        self.forget()

    def forget(self) -> None:
        """Begin measuring anew."""
        self.peak = self.in_flight
        self.requests = 0
        self.paths: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def app(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(middlewares=[self.measured], client_max_size=64 * 2**20)
        get, route = app.router.add_get, app.router.add_route
        get("/", self.index)
        get("/customers", self.customers)
        get("/customers.csv", self.customers_csv)
        get("/customers/{id:[0-9]+}", self.customer)
        get("/customers/{id:[0-9]+}/orders", self.customer_orders)
        get("/orders", self.orders)
        get("/orders/{id:[0-9]+}", self.order)
        get("/products", self.products)
        get("/products/{sku}", self.product)
        get("/products/{sku}/image", self.image)
        get("/invoices/{id:[0-9]+}", self.invoice)
        get("/limited/{n}", self.limited)
        get("/feed/{kind}", self.feed)
        get("/quota/{n}", self.quota)
        get("/delay/{seconds}", self.delay)
        route("*", "/status/{code:[2-5][0-9][0-9]}", self.status)
        get("/headers", self.headers)
        get("/gzip", self.gzip)
        get("/me", self.me)
        get("/private/orders", self.private(self.orders))
        get("/private/orders/{id:[0-9]+}", self.private(self.order))
        route("POST", "/token", self.tokens.grant)
        route("POST", "/device", self.tokens.sign_in)
        get("/stats", self.stats)
        route("DELETE", "/stats", self.stats)
        route("POST", "/login", self.login)
        route("POST", "/jobs", self.begin_job)
        get("/jobs/{id:[0-9]+}", self.job)
        route("POST", "/graphql", self.graphql)
        for method in ("POST", "PUT"):
            route(method, "/upload/{name}", self.upload)
        for method in ("POST", "PUT", "PATCH"):
            route(method, "/post", self.post)
        return app

    @web.middleware
    async def measured(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Count, wait the jitter, answer; an unknown path is JSON as well."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.requests += 1
        resource = request.match_info.route.resource
        self.paths[resource.canonical if resource else request.path] += 1
        status = 500
        try:
            low, high = self.jitter
            await asyncio.sleep(low + (high - low) * (crc32(request.path_qs.encode()) % 1000) / 1000)
            response: web.StreamResponse = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            response = web.json_response({"error": error.reason, "see": "GET /"}, status=status)
        finally:
            self.in_flight -= 1
            self.statuses[status] += 1
        return response

    async def index(self, _: web.Request) -> web.Response:
        """List the paths."""
        return web.json_response({"server": "fastreq_jupyter.demo", "paths": PATHS})

    async def customers(self, request: web.Request) -> web.Response:
        """Answer one page of customers."""
        return _page(request, list(self.shop.customers.values()))

    async def customers_csv(self, _: web.Request) -> web.Response:
        """Answer all customers as CSV."""
        text = io.StringIO()
        rows = [{**row, **row["address"]} for row in self.shop.customers.values()]
        writer = csv.DictWriter(text, ["id", "name", "segment", "city", "country", "since"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        return web.Response(text=text.getvalue(), content_type="text/csv", charset="utf-8")

    async def customer(self, request: web.Request) -> web.Response:
        """Answer one customer."""
        return _record_response(self.shop.customers.get(int(request.match_info["id"])))

    async def customer_orders(self, request: web.Request) -> web.Response:
        """Answer the orders of one customer."""
        number = int(request.match_info["id"])
        return _record_response(self.shop.orders_of(number) if number in self.shop.customers else None)

    async def orders(self, request: web.Request) -> web.Response:
        """Answer one page of orders."""
        customer_id = _number(request, "customer_id", 0, low=1)
        return _page(request, self.shop.orders_of(customer_id) if customer_id else list(self.shop.orders.values()))

    async def order(self, request: web.Request) -> web.Response:
        """Answer one order, or 503 on every odd request for a flaky one."""
        number = int(request.match_info["id"])
        self.visits[request.path] += 1
        if number % FLAKY == 0 and self.visits[request.path] % 2:
            return web.json_response({"error": "the warehouse is counting, try again"}, status=503)
        return _record_response(self.shop.orders.get(number))

    async def products(self, request: web.Request) -> web.Response:
        """Answer one page of products."""
        return _page(request, list(self.shop.products.values()))

    async def product(self, request: web.Request) -> web.Response:
        """Answer one product, or 304 to whoever has it."""
        response = _record_response(self.shop.products.get(request.match_info["sku"]))
        response.etag = f"{crc32(response.body):08x}"  # type: ignore[arg-type] # JSON, made a moment ago
        etags = request.if_none_match or ()
        return web.Response(status=304) if response.etag in etags else response

    async def image(self, request: web.Request) -> web.Response:
        """Answer a product's picture."""
        if request.match_info["sku"] not in self.shop.products:
            raise web.HTTPNotFound
        return web.Response(body=self.shop.picture(request.match_info["sku"]), content_type="image/png")

    async def invoice(self, request: web.Request) -> web.Response:
        """Answer an order as a text with a name, or the part of it that is asked for."""
        order = self.shop.orders.get(int(request.match_info["id"]))
        if order is None:
            raise web.HTTPNotFound
        text = "".join(f"{name}: {value}\n" for name, value in order.items()).encode()
        headers = {"Content-Disposition": f'attachment; filename="invoice {order["id"]}.txt"', "ETag": f'"{crc32(text):x}"'}
        start = request.http_range.start
        if not start or request.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
            return web.Response(body=text, headers=headers, content_type="text/plain")
        headers["Content-Range"] = f"bytes {start}-{len(text) - 1}/{len(text)}"
        return web.Response(status=206, body=text[start:], headers=headers, content_type="text/plain")

    async def upload(self, request: web.Request) -> web.Response:
        """Answer how many bytes came, without keeping them."""
        count = 0
        async for piece in request.content.iter_chunked(2**16):
            count += len(piece)
        return web.json_response({"name": request.match_info["name"], "bytes": count})

    async def limited(self, request: web.Request) -> web.Response:
        """Answer, or 429 beyond so many requests in a second."""
        if self.limit.take():
            return web.json_response({"n": request.match_info["n"]})
        return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})

    async def feed(self, request: web.Request) -> web.Response:
        """Answer a page of orders, of the kind asked for."""
        return self.feeds.answer(request, list(self.shop.orders.values()))

    async def quota(self, request: web.Request) -> web.Response:
        """Answer within a limit that only says what is left."""
        return self.quotas.answer(request)

    async def delay(self, request: web.Request) -> web.Response:
        """Answer after the time asked for."""
        try:
            seconds = float(request.match_info["seconds"])
        except ValueError:
            raise web.HTTPBadRequest from None
        if not 0 <= seconds <= LONGEST_DELAY:
            raise web.HTTPBadRequest
        await asyncio.sleep(seconds)
        return web.json_response({"delay": seconds})

    async def status(self, request: web.Request) -> web.Response:
        """Answer with the status asked for."""
        code = int(request.match_info["code"])
        return web.Response(status=code) if code in {204, 205, 304} else web.json_response({"status": code}, status=code)

    async def headers(self, request: web.Request) -> web.Response:
        """Answer the request's headers, names in lower case."""
        return web.json_response({name.lower(): value for name, value in request.headers.items()})

    async def gzip(self, _: web.Request) -> web.Response:
        """Answer a compressed body, also to those who did not ask."""
        response = web.json_response({"compressed": True, "filler": "fast " * 200})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def graphql(self, request: web.Request) -> web.Response:
        """Answer a query or mutation: always 200, with errors in the body, as GraphQL has it."""
        try:
            body = await request.json()
        except ValueError:
            raise web.HTTPBadRequest from None
        return web.json_response(answer(self.shop, body))

    async def post(self, request: web.Request) -> web.Response:
        """Answer what was sent."""
        body = await request.read()
        sent: Record = {"method": request.method, "content_type": request.content_type, "bytes": len(body), "query": dict(request.query)}
        try:
            sent["json"] = json.loads(body)
        except ValueError:
            sent["text"] = body.decode("utf-8", "replace")
        return web.json_response(sent, status=201 if request.method == "POST" else 200)

    async def login(self, request: web.Request) -> web.Response:
        """Answer a token for demo / demo."""
        try:
            credentials = await request.json()
        except ValueError:
            raise web.HTTPBadRequest from None
        if credentials != {"user": "demo", "password": "demo"}:
            raise web.HTTPUnauthorized
        return web.json_response({"token": self.token, "expires_in": 3600})

    async def begin_job(self, request: web.Request) -> web.Response:
        """Begin a job: 202 and where to look."""
        self.visits["jobs"] += 1
        place = str(request.url.with_path(f"/jobs/{self.visits['jobs']}"))
        return web.json_response({"status": "accepted"}, status=202, headers={"Location": place})

    async def job(self, request: web.Request) -> web.Response:
        """Answer 202 at the first looks, then the result."""
        self.visits[request.path] += 1
        if self.visits[request.path] <= LOOKS:
            return web.json_response({"status": "running"}, status=202)
        return web.json_response({"status": "succeeded", "job": int(request.match_info["id"]), "rows": 7})

    async def me(self, request: web.Request) -> web.Response:
        """Answer who holds the token."""
        authorization = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not secrets.compare_digest(authorization, f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized
        return web.json_response({"user": "demo", "customer_id": 7})

    def private(self, handler: Any) -> Any:
        """Return the handler for those who have a token of `/token`."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self.tokens.knows(request.headers.get("Authorization", "")):
                challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
                return web.json_response({"error": "the token is unknown or has ended"}, status=401, headers=challenge)
            answer: web.StreamResponse = await handler(request)
            return answer

        return guarded

    async def stats(self, request: web.Request) -> web.Response:
        """Answer what was measured; DELETE begins anew."""
        seen = self.measurements()
        if request.method == "DELETE":
            self.forget()
        return web.json_response(seen)

    def measurements(self) -> Record:
        """Return the counts: requests, peak concurrency, per path, per status."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "peak": self.peak,
            "paths": dict(self.paths),
            "statuses": {str(code): n for code, n in sorted(self.statuses.items())},
        }


def _number(request: web.Request, name: str, default: int, *, low: int, high: float = math.inf) -> int:
    try:
        number = int(request.query.get(name, default))
    except ValueError:
        raise web.HTTPBadRequest(reason=f"{name} is no whole number") from None
    if name in request.query and not low <= number <= high:
        raise web.HTTPBadRequest(reason=f"{name} is out of range")
    return number


def _record_response(record: Record | list[Record] | None) -> web.Response:
    if record is None:
        raise web.HTTPNotFound
    return web.json_response(record)


def _page(request: web.Request, records: list[Record]) -> web.Response:
    """Answer one page, with total and the Link header of RFC 8288."""
    per_page = _number(request, "per_page", PER_PAGE, low=1, high=MOST_PER_PAGE)
    pages = max(1, -(-len(records) // per_page))
    page = _number(request, "page", 1, low=1)
    start = (page - 1) * per_page
    places = {"first": 1, "prev": page - 1, "next": page + 1, "last": pages}
    links = [
        f'<{request.url.update_query(page=number, per_page=per_page)}>; rel="{name}"'
        for name, number in places.items()
        if 1 <= number <= pages and page <= pages
    ]
    body = {"page": page, "per_page": per_page, "pages": pages, "total": len(records), "items": records[start : start + per_page]}
    return web.json_response(body, headers={"Link": ", ".join(links)} if links else None)
