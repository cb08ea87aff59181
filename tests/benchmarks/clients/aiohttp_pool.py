"""aiohttp as people write it by hand: a session, N workers, bodies read and kept. This is 1.00."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
from measure import main


async def run(job):
    bodies = []
    left = iter(job.urls)
    trust = ssl.create_default_context(cafile=job.ca) if job.ca else True

    async with aiohttp.ClientSession() as session:

        async def work():
            for url in left:
                async with session.get(url, ssl=trust) as response:
                    bodies.append(await response.read())

        await asyncio.gather(*[work() for _ in range(job.concurrency)])
    return bodies


if __name__ == "__main__":
    main(run)
