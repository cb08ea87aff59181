"""Run httpbin on a free port of 127.0.0.1 and print its URL; executed by the interpreter that has httpbin."""

import logging

from httpbin.core import app
from werkzeug.serving import WSGIRequestHandler, make_server

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
