r"""What a curl cell sends is what curl sends: both read the same text, curl in a shell, against one recorder."""

import re
import shutil
import subprocess
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from samples.cells import ENVIRON, items

from fastreq_jupyter.engine.preparing import prepare

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl or bash is not installed")

OF_THE_CONNECTION = {"host", "connection", "content-length", "accept-encoding", "expect", "upgrade", "http2-settings"}


class Recorder(BaseHTTPRequestHandler):
    """A server that notes what arrives."""

    protocol_version = "HTTP/1.1"

    def note(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.arrived.append((self.command, self.path, self.headers.items(), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Recorder, f"do_{method}", Recorder.note)


@pytest.fixture(scope="module")
def recorder():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.arrived = []
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def comparable(method, target, headers, body):
    """Return a request without what differs from client to client."""
    lines = [(name.lower(), value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]
    kinds = [re.sub("boundary=-+[0-9A-Za-z]+", "boundary=B", value) for name, value in lines if name == "content-type"]
    boundary = next((found[1] for name, value in lines if (found := re.search("boundary=(-+[0-9A-Za-z]+)", value))), None)
    lines = [
        # Later ones of curl put a blank behind the semicolon.
        (name, re.sub("; *", ";", value))
        if name == "cookie"
        else (name, "the client's own" if name == "user-agent" and value.startswith(("curl/", "fastreq")) else value)
        for name, value in lines
        if name != "content-type"
    ]
    # curl writes what -G and --url-query add in lower case; both mean the same.
    target = re.sub("%[0-9a-fA-F]{2}", lambda found: found[0].upper(), target)
    content = body.replace(boundary.encode(), b"B") if boundary else body
    return method, target, Counter(lines) + Counter(("content-type", kind) for kind in kinds), content


def ours(text):
    for request in items(text):
        exchange = prepare(request)
        yield comparable(exchange.method, exchange.target.path_query, exchange.headers, exchange.content or b"")


def curls(text, recorder, folder):
    recorder.arrived.clear()
    script = re.sub(r"^curl", "curl -sS", text, flags=re.MULTILINE)
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **ENVIRON}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environ, capture_output=True, check=False, timeout=60)
    assert recorder.arrived, done.stderr
    return [comparable(*request) for request in recorder.arrived]


COMMANDS = {
    "brackets as a browser copies them": r"curl 'HOST/x?filter\[name\]=a&ids\[\]=1'",
    "braces as a browser copies them": r"curl 'HOST/x?a=\{b\}&c=\[0-9\]'",
    "ranges": "curl 'HOST/x[1-3]/[07-09]'",
    "globoff": "curl -g 'HOST/x?a[]=1'",
    "quoted form fields": r"""curl HOST/up --form 'title="My report"' --form 'meta="{\"a\": 1, \"b\": \"c;d\"}";type=application/json'""",
    "a type behind a blank": "curl HOST/up -F 'a=b; type=text/x' -F 'c=d;type=text/plain;charset=utf-8'",
    "blanks around form values": "curl HOST/up -F 'a= b ' -F 'b=\" c \"'",
    "a text with a file name": "curl HOST/up -F 'a=b;filename=x.txt' -F 'c=d;filename=\"y z.bin\"'",
    "form strings": "curl HOST/up --form-string 'a=\"b\";type=x' --form-string 'c=@d'",
    "files of known and unknown types": "curl HOST/up -F f=@x.csv -F g=@x.png -F 'h=@x.csv;type=text/csv;filename=\"a b.csv\"' -F 'i=<x.csv'",
    "headers of a part": "curl HOST/up -F 'a=b;headers=\"X-Part: 1\"'",
    "a quoted file name": "curl HOST/up -F 'f=@\"x.csv\"'",
    "-F with its Content-Type": "curl -X 'POST' HOST/up -H 'Content-Type: multipart/form-data' -F 'name=a'",
    "cookies twice": "curl HOST -b a=1 -b b=2 -b 'c=3; d=4'",
    "a cookie header wins": "curl HOST -H 'Cookie: a=1' -b b=2",
    "no cookie": "curl HOST -b ''",
    "cookies of a file": "curl -b jar.txt -b x=1 HOST/a/b -b gone.txt",
    "urlencode": "curl HOST --data-urlencode 'q=a b&c/é~' --data-urlencode '=x y' --data-urlencode 'z'",
    "urlencode of a file": "curl HOST --data-urlencode name@x.csv --data-urlencode @x.csv",
    "-G": "curl -G HOST/x -d a=1 --data-urlencode 'q=b c'",
    "-G behind a query and before a fragment": "curl -G 'HOST/x?z=0&#top' -d a=1",
    "-G behind an empty query": "curl -G 'HOST/x?' -d a=1",
    "--url-query": "curl 'HOST/x?z=0&' --url-query 'q=b c' --url-query +a=%20",
    "no User-Agent": "curl HOST -A ''",
    "no User-Agent nor Accept by -H": "curl HOST -H 'User-Agent:' -H 'Accept:' -H 'X-Other:'",
    "own User-Agent": "curl HOST -A one -A two",
    "a header wins over -A, -e, -r and -u": "curl HOST -A a -e b -r 1-2 -u c:d -H 'user-agent: e' -H 'Referer: f' -H 'Range: bytes=0-' -H 'Authorization: g'",
    "the last of two": "curl HOST -u a:b -u c:d -e one -e two -r 0-1 -r 2-3",
    "no referer": "curl HOST -e ''",
    "a range without an end": "curl HOST -r 600",
    "ranges of bytes": "curl HOST -r 0-99,200-",
    "the last bytes": "curl HOST -r -500",
    "user and password": "curl HOST -u 'ada:pä ss:wörd'",
    "digest, before the challenge": "curl HOST --digest -u ada:pw",
    "headers in UTF-8": "curl HOST -H 'X-Name: Zoë €' -b 'c=é' -A 'ü'",
    "empty headers": "curl HOST -H 'X-Empty;'",
    "repeated headers": "curl HOST -H 'X-A: 1' -H 'x-a: 2'",
    "data": "curl HOST -d a=1 -d 'b=c d&é' --data-raw '@x' --data-binary @x.csv -d @x.csv",
    "empty data": "curl HOST -d ''",
    "data with an own type": "curl HOST -d '{\"a\": 1}' -H 'Content-Type: application/json' -X PUT",
    "data without a type": "curl HOST -d a -H 'Content-Type:'",
    "json": "curl HOST --json '{\"a\":1' --json '}'",
    "json with an own accept": "curl HOST --json '{}' -H 'Accept: a/b'",
    "upload": "curl -T x.csv HOST/files/",
    "upload to a name": "curl -T x.csv HOST/files/y.csv -H 'Content-Type: text/csv'",
    "head": "curl -I HOST/x",
    "several URLs and --next": "curl HOST/1 HOST/2 -d a --next HOST/3 -H 'A: b'",
    "commands in a line": "curl HOST/1; curl HOST/2 && curl HOST/3 ; echo",
    "all as cURL": "curl 'HOST/1' \\\n  -H 'accept: */*' ;\ncurl 'HOST/2' \\\n  -H 'accept: a/b'",
    "a pipe": "curl HOST/1 | cat\ncurl HOST/2 -o /dev/null 2>/dev/null",
    "a redirection": "curl HOST/1 > out.json 2>&1",
    "a comment": "curl HOST/x # all of them",
    "a shell variable": 'curl "HOST/$USER/x?a=${USER}" -H "Authorization: Bearer $TOKEN" -d "{\\"a\\": \\"$USER\\", \\"b\\": \\$5}" -u $USER:x',
    "a password with blanks": "curl HOST -u 'ada:  x '",
    "a bearer token goes before a password": "curl HOST -u a:b --oauth2-bearer t; curl HOST --oauth2-bearer t -u a:b",
    "upload to a host": "curl HOST -T x.csv",
    "parameters of a part's type": "curl HOST -F 'a=\"b\"; type=a/b; charset=x ;boundary=y'",
    "a shell variable beyond ASCII": 'curl HOST -H "X: $NAME" -b "n=$NAME" -u "$NAME:x" -d "n=$NAME"',
    "a dollar that is text": "curl HOST -d \"US$ 5, 5$, $.a\" -H 'X: $USER'",
    "ansi quotes": r"curl HOST --data-raw $'{\'a\': \u00e9 \x41 \n\101}'",
    "quotes put together": """curl HOST -d 'it'"'"'s "a" 'b\\ c""",
    "options that change nothing": "curl -sSfL --compressed -4 --tlsv1.2 --http2 --retry 0 -D - -w '%{http_code}' --connect-timeout 5 HOST/x",
    "without a scheme": "curl BARE/x?a=1",
    "dot segments": "curl HOST/a/../b/./c",
    "a fragment": "curl 'HOST/a#b?c'",
}  # fmt: skip


JAR = """# Netscape HTTP Cookie File

127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tone two
#HttpOnly_127.0.0.1\tFALSE\t/a\tFALSE\t4102444800\tlater\t"q"
127.0.0.1\tFALSE\t/\tFALSE\t1\tgone\tx
127.0.0.1\tFALSE\t/\tTRUE\t0\tsecure\tx
127.0.0.1\tFALSE\t/other\tFALSE\t0\tother\tx
.example.com\tTRUE\t/\tFALSE\t0\telsewhere\tx
127.0.0.1\tFALSE\t/a/b\tFALSE\t0\tdeep\tx
127.0.0.1\tFALSE\t/\tFALSE\t0\tempty\t
"""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_curl_cell_sends_what_curl_sends(command, recorder, tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(b"a,b\r\n1,2\r\n")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "jar.txt").write_text(JAR)
    monkeypatch.chdir(tmp_path)
    bare = f"127.0.0.1:{recorder.server_address[1]}"
    text = command.replace("HOST", f"http://{bare}").replace("BARE", bare)
    assert list(ours(text)) == curls(text, recorder, tmp_path)
