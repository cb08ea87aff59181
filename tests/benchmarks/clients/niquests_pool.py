"""niquests as people write it by hand: an AsyncSession, N workers; its pool of 10 is widened, or it would wait."""

from __future__ import annotations

import asyncio

import niquests
from measure import main


async def run(job):
    bodies = []
    left = iter(job.urls)

    async with niquests.AsyncSession(pool_maxsize=job.concurrency) as session:

        async def work():
            for url in left:
                response = await session.get(url, verify=job.ca or True)
                bodies.append(response.content)

        await asyncio.gather(*[work() for _ in range(job.concurrency)])
    return bodies


if __name__ == "__main__":
    main(run)
