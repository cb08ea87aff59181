"""libcurl's multi interface, bare: N handles, used again and again; bodies kept."""

from __future__ import annotations

from io import BytesIO

import pycurl
from measure import main


def handle(job):
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    curl.setopt(pycurl.PIPEWAIT, 1)
    if job.ca:
        curl.setopt(pycurl.CAINFO, job.ca)
    return curl


def run(job):
    multi = pycurl.CurlMulti()
    bodies = []
    left = iter(job.urls)
    idle = [handle(job) for _ in range(job.concurrency)]
    under_way = 0
    while True:
        while idle and (url := next(left, None)) is not None:
            curl = idle.pop()
            curl.body = BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.WRITEDATA, curl.body)
            multi.add_handle(curl)
            under_way += 1
        if not under_way:
            return bodies
        multi.perform()
        _, done, failed = multi.info_read()
        for curl in done:
            multi.remove_handle(curl)
            bodies.append(curl.body.getvalue())
            idle.append(curl)
        under_way -= len(done)
        if failed:
            raise pycurl.error(*failed[0][1:])
        if not done:
            multi.select(1.0)


if __name__ == "__main__":
    main(run)
