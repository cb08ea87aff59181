"""The curl backend: libcurl's multi interface (through pycurl) on the running event loop, without a thread.

    session    libcurl's connections, sockets and clocks on the loop, and the handles that are not in use
    transfer   one handle, the answer it fills, and libcurl's words

libcurl sends a request again when a kept connection dies under it, POST included. It asks before each sending
(`PREREQFUNCTION`), so it can be told no: an unsafe request never goes out twice, others only on a connection that is new.
"""

from fastreq_jupyter.backends.curl.session import open_session, why_poor

__all__ = ["open_session", "why_poor"]
