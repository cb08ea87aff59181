"""requests as people write it by hand: a Session shared by N threads; its pool of 10 is widened, or it would reconnect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests
from measure import main


def run(job):
    with requests.Session() as session, ThreadPoolExecutor(job.concurrency) as pool:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=job.concurrency)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return list(pool.map(lambda url: session.get(url, verify=job.ca or True).content, job.urls))


if __name__ == "__main__":
    main(run)
