"""Bodies from files: sent with their length, piece by piece, on every backend; never held whole."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.transfers import TransferServer

from fastreq_jupyter import Request, UsageError, fastreq, submit
from fastreq_jupyter.cell import build, to_http
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.files import STREAMED_FROM, FilePart, Upload, file_part, joined
from fastreq_jupyter.options import Options

CONTENT = bytes(range(256)) * (STREAMED_FROM // 256 + 1)
MD5 = hashlib.md5(CONTENT).hexdigest()
MOST_MB = 60


@pytest.fixture
def big(tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def server():
    with TransferServer() as running:
        yield running


def test_a_file_is_sent_with_its_length_however_it_is_given(server, backend, big):
    requests = [Request("PUT", f"{server.url}/a", data=big), Request("POST", f"{server.url}/b", data=b"small")]
    with big.open("rb") as file:
        requests.append(Request("POST", f"{server.url}/c", data=file))
    frame = fastreq(requests, backend=backend)
    assert [(body["length"], body["method"]) for body in frame["data"]] == [(len(CONTENT), "PUT"), (5, "POST"), (len(CONTENT), "POST")]
    assert [body["md5"] for body in frame["data"][[0, 2]]] == [MD5, MD5]
    assert not any("transfer-encoding" in body["head"] or "expect" in body["head"] for body in frame["data"])


def test_a_multipart_body_is_what_it_would_be_in_memory(server, backend, big):
    request = Request("POST", f"{server.url}/form", data={"k": "ü"}, files={"f": str(big), "g": ("x.txt", b"yy", "text/plain")})
    assert isinstance(request.content, Upload)
    boundary = request.header("content-type").rpartition("=")[2]
    whole = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="k"\r\n\r\nü\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="big.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
    ).encode() + CONTENT + (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="g"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\nyy\r\n'
        f"--{boundary}--\r\n"
    ).encode()  # fmt: skip
    body = fastreq([request], backend=backend)["data"][0]
    assert (body["length"], body["md5"]) == (len(whole), hashlib.md5(whole).hexdigest())


@pytest.mark.parametrize("way", ["again", "busy", "closed"])
def test_it_is_sent_from_the_beginning_where_it_is_sent_again(server, backend, big, way):
    row = fastreq([Request("PUT", f"{server.url}/{way}/x", data=big)], backend=backend, rate_limit=None).iloc[0]
    assert row["data"]["md5"] == MD5, row["error_detail"]


def test_a_post_of_a_file_is_not_sent_twice(server, backend, big):
    row = fastreq([Request("POST", f"{server.url}/closed/x", data=big)], backend=backend).iloc[0]
    assert (row["ok"], row["attempts"], len(server.heads)) == (False, 1, 1)


def test_a_file_that_was_changed_or_removed_is_told_before_anything_is_sent(server, backend, big, tmp_path):
    gone = tmp_path / "gone.bin"
    gone.write_bytes(CONTENT)
    requests = [Request("PUT", f"{server.url}/{path.stem}", data=path) for path in (big, gone)]
    big.write_bytes(CONTENT + b"more")
    gone.unlink()
    frame = fastreq(requests, backend=backend)
    assert frame["error"].tolist() == ["invalid value", "invalid value"]
    assert frame["error_detail"].str.contains("was changed after|cannot be read: No such file").all()
    assert not server.heads


def test_a_small_file_is_read_when_the_request_is_made(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"x")
    assert Request("PUT", "http://h/", data=path).content == b"x"


def test_what_is_no_plain_file_is_read_when_the_request_is_made():
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe")
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - of a descriptor
        assert Request("PUT", "http://h/", data=pipe).content == b"from a pipe"
    assert Request("PUT", "http://h/", data=io.BytesIO(CONTENT)).content == CONTENT


def test_a_cell_streams_what_it_reads_from_files(server, big):
    text = (
        f"PUT {server.url}/whole\n\n< {big}\n\n###\nPOST {server.url}/parts\nContent-Type: multipart/form-data; boundary=XX\n\n"
        f'--XX\nContent-Disposition: form-data; name="f"; filename="b"\n\n< {big}\n--XX--'
    )
    items = list(build(text, options=Options()).items)
    assert all(isinstance(item.content, Upload) for item in items)
    bodies = fastreq(items)["data"]
    assert bodies[0]["md5"] == MD5
    assert bodies[1]["length"] == len(items[1].content)


def test_such_requests_become_a_cell_again(big):
    for request in (
        Request("PUT", "http://h/x", data=big),
        Request("POST", "http://h/x", data={"password": "hunter22222"}, files={"f": big}),
    ):
        text = to_http(request)
        assert f"< {big}" in text
        assert "hunter22222" not in text
    (item,) = build(to_http(Request("PUT", "http://h/x", data=big)), options=Options()).items
    assert item.content == Request("PUT", "http://h/x", data=big).content


def test_a_journal_knows_it_again_until_the_file_changes(server, big, tmp_path):
    journal = str(tmp_path / "runs.db")

    def send():
        fastreq([Request("POST", f"{server.url}/x", files={"f": big})], journal=journal)
        return len(server.heads)

    assert (send(), send()) == (1, 1)
    big.write_bytes(CONTENT + b"more")
    assert send() == 2


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20) | st.just("file"), max_size=5), st.integers(1, 50))
def test_reading_in_any_steps_gives_the_whole(tmp_path_factory, parts, step):
    path = tmp_path_factory.getbasetemp() / "part.bin"
    path.write_bytes(b"0123456789" * 3)
    about = path.stat()
    file = FilePart(str(path), 0, about.st_size, about.st_mtime_ns)
    body = joined([file if part == "file" else part for part in parts])
    whole = b"".join(path.read_bytes() if part == "file" else part for part in parts)
    if isinstance(body, bytes):
        assert body == whole
        return
    reader = body.open()
    assert b"".join(iter(lambda: reader.read(step), b"")) == whole
    assert len(body) == len(whole) == reader.done


def test_a_file_that_becomes_shorter_while_it_is_sent_is_told(big):
    body = joined([file_part(big)])
    reader = body.open()
    reader.read(1000)
    os.truncate(big, 2000)
    with pytest.raises(BackendError, match="became shorter while it was sent"):
        reader.read()
    reader.close()


IN_LITTLE_MEMORY = """
import sys
import time
from pathlib import Path
from pathlib import Path
from fastreq_jupyter import Request, UsageError, fastreq, submit

def peak_mb():
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1]) // 1024

url, backend, path, target = sys.argv[1:]
fastreq([Request("PUT", url + "/warm", data=b"x")], backend=backend, save_to=target + "/warm")
before = peak_mb()
if path:
    frame = fastreq([Request("PUT", url + "/x", data=Path(path)), Request("POST", url + "/y", files={"f": path})], backend=backend, timeout=300)
    assert [body["length"] >> 20 for body in frame["data"]] == [100, 100], frame
else:
    frame = fastreq(url + "/files/big.bin", backend=backend, save_to=target, max_body="1GB", columns="all")
    assert frame["size_bytes"].tolist() == [100 << 20], frame
print(peak_mb() - before)
"""


def grown(server, backend, path, target):
    command = [sys.executable, "-W", "error", "-c", IN_LITTLE_MEMORY, server.url, backend, str(path), str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_100_mb_are_sent_in_little_memory(server, backend, tmp_path, measured):
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    growth = grown(server, backend, path, tmp_path)
    measured("memory beyond the start, 100 MB up", backend, f"{growth} MB")
    assert growth < MOST_MB


@pytest.mark.parametrize("path", [Path("no/such/file"), Path(__file__).parent])
def test_a_file_that_is_not_there_is_refused_in_one_line(path):
    with pytest.raises(UsageError, match=r"data cannot be sent: .*(No such file|Is a directory)"):
        fastreq("http://h/", method="PUT", data=path, headers={"Authorization": "Bearer secret"})


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are read from /proc")
def test_a_cancelled_upload_leaves_no_file_open(backend, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 << 20)

    def is_open():
        for entry in Path("/proc/self/fd").iterdir():
            # Others come and go meanwhile.
            with contextlib.suppress(OSError):
                if entry.readlink() == path:
                    return True
        return False

    # It accepts, and never reads: the file is read until the sockets are full.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = submit([Request("PUT", f"http://127.0.0.1:{listener.getsockname()[1]}/", data=path)], backend=backend)
        while not is_open():
            time.sleep(0.01)
        run.cancel()
        run.finished.result(60)
        while is_open():
            time.sleep(0.01)
