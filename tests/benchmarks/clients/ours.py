"""fastreq_jupyter: a list of URLs to a DataFrame with timings, retries ready."""

from __future__ import annotations

from measure import main

from fastreq_jupyter import fastreq


def run(job):
    frame = fastreq(
        job.urls,
        backend=job.backend,
        concurrency=job.concurrency,
        timings=True,
        progress=job.progress,
        verify_ssl=job.ca or True,
    )
    return frame[frame["ok"]]


if __name__ == "__main__":
    main(run)
