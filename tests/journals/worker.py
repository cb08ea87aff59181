"""A process that fetches things with a journal, slowly enough to be killed in between: ``worker.py DB LOG COUNT``.

Each request that leaves is a line of LOG. Every fifth is a POST. The answer to number n is `body_of(n)`.
"""

import asyncio
import os
import sys
from pathlib import Path

from journals.notebook import answer, get, post

from fastreq_jupyter.journal import Journal
from fastreq_jupyter.options import Options


def body_of(number):
    return b'{"number": %d, "text": "%s"}' % (number, b"x" * (number % 7 * 500))


def request_of(number):
    return post(number) if number % 5 == 0 else get(number)


async def fetch(path, log, count):
    journal = Journal(Options.of(journal=path))
    print("open", flush=True)
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    rows = {}
    gate = asyncio.Semaphore(8)

    async def one(number):
        async with gate:
            request = request_of(number)
            known = journal.find(request, number)
            if known is None:
                if not request.idempotent:
                    await journal.begin(request, number)
                os.write(lines, f"{request.method} {number}\n".encode())
                await asyncio.sleep(0.004)
                body = body_of(number)
                known = answer(request, number, body=body)
                await journal.finish(known, body)
                rows[number] = None
            else:
                rows[number] = known.error or known.data["number"]

    await asyncio.gather(*[one(number) for number in range(count)])
    await journal.close()
    return rows


if __name__ == "__main__":
    database, log_name, how_many = sys.argv[1:]
    asyncio.run(fetch(database, Path(log_name), int(how_many)))
