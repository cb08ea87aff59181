"""The public package fastreq, 2.x and 3.x. It cannot be given an authority, so it trusts everybody here."""

from __future__ import annotations

from fastreq import fastreq
from measure import main


def run(job):
    return fastreq(
        job.urls,
        backend=job.backend,
        concurrency=job.concurrency,
        return_type="content",
        verify_ssl=not job.ca,
        verbose=False,
    )


if __name__ == "__main__":
    main(run)
