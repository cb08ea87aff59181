"""The public package fastreq, 2.x and 3.x, its default of parsed JSON. It takes no authority: 3.x trusts everybody here, 2.x the environment."""

from __future__ import annotations

from fastreq import fastreq
from measure import main


def run(job):
    return fastreq(
        job.urls,
        backend=job.backend,
        concurrency=job.concurrency,
        return_type="json" if job.url.endswith(".json") else "content",
        verify_ssl=not job.ca,
        verbose=False,
    )


if __name__ == "__main__":
    main(run)
