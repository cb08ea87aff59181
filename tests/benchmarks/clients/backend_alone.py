"""One of our backends without the engine: bodies read and kept."""

from __future__ import annotations

from internals import bodies_of
from measure import main


def run(job):
    return bodies_of(job.urls, job.backend, job.concurrency, job.ca)


if __name__ == "__main__":
    main(run)
