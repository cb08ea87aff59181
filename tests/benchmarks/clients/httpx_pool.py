"""httpx as people write it by hand: an AsyncClient, N workers; HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
import ssl

import httpx
from measure import main


async def run(job):
    bodies = []
    left = iter(job.urls)
    trust = ssl.create_default_context(cafile=job.ca) if job.ca else True

    async with httpx.AsyncClient(verify=trust, http2=bool(job.ca)) as client:

        async def work():
            for url in left:
                response = await client.get(url)
                bodies.append(response.content)

        await asyncio.gather(*[work() for _ in range(job.concurrency)])
    return bodies


if __name__ == "__main__":
    main(run)
