"""Downloads: named by the answer, gone on with where they broke off, held in little memory, shown while they come."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.transfers import Served, TransferServer
from test_upload import MOST_MB, grown

from fastreq_jupyter import OptionError, UsageError, fastreq, submit
from fastreq_jupyter.cell import build
from fastreq_jupyter.engine import Progress
from fastreq_jupyter.engine.progress import FileProgress
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.files import file_name_from, numbered
from fastreq_jupyter.notebook.display import progress_line
from fastreq_jupyter.options import Options

CONTENT = random.Random(1).randbytes(1_000_000)
TAG = {"ETag": '"v1"'}
HALF = 600_000


@pytest.fixture
def server():
    with TransferServer() as running:
        yield running


def names(directory):
    return sorted(path.name for path in Path(directory).iterdir())


def download(server, target, *, served, **options):
    """Save the file of the server; return its row and the field lines of the requests for it."""
    server.files["a.bin"] = served
    first = len(server.heads)
    row = fastreq(f"{server.url}/files/a.bin", save_to=str(target), **options).iloc[0]
    return row, server.heads[first:]


@pytest.mark.parametrize(
    ("validator", "sent"),
    [
        (TAG, '"v1"'),
        ({"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 09:49:37 GMT"}, "Sun, 06 Nov 1994 08:49:37 GMT"),
    ],
)
def test_an_interrupted_download_asks_for_the_rest_only(server, backend, tmp_path, validator, sent):
    row, heads = download(server, tmp_path, served=Served(CONTENT, validator, broken_after=[HALF]), backend=backend)
    begun = int(heads[1]["range"].removeprefix("bytes=").removesuffix("-"))
    assert (heads[1]["if-range"], heads[1]["accept-encoding"]) == (sent, "identity")
    assert 0 < begun <= HALF
    assert server.sent["/files/a.bin"] == HALF + len(CONTENT) - begun
    assert (row["status"], row["attempts"], row["ok"]) == (206, 2, True)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_another_run_goes_on_too(server, tmp_path):
    served = Served(CONTENT, TAG, broken_after=[HALF])
    row, _ = download(server, tmp_path, served=served, max_retries=0)
    assert row["error"] == "protocol"
    assert not (tmp_path / "a.bin").exists()
    row, heads = download(server, tmp_path, served=served)
    assert "range" in heads[0]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_several_interruptions_are_gone_on_from_each(server, tmp_path):
    row, heads = download(server, tmp_path, served=Served(CONTENT, TAG, broken_after=[300_000, 500_000, 700_000]))
    assert (row["ok"], row["attempts"]) == (True, 4)
    begun = [int(head["range"].removeprefix("bytes=").removesuffix("-")) for head in heads[1:]]
    assert begun == sorted(set(begun))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("served", "what"),
    [
        (Served(CONTENT, TAG, ranges=False, broken_after=[HALF]), "a server that ignores Range"),
        (Served(CONTENT, TAG, broken_after=[HALF], statuses=[0, 416]), "a server that refuses the range"),
        (Served(CONTENT, {"ETag": 'W/"v1"'}, broken_after=[HALF]), "a weak validator"),
        (Served(CONTENT, {}, broken_after=[HALF]), "no validator"),
        (Served(CONTENT, {"Accept-Ranges": "none", **TAG}, broken_after=[HALF]), "no ranges"),
        (Served(CONTENT, TAG, broken_after=[1000]), "little that is there"),
    ],
)
def test_where_that_cannot_be_the_whole_is_fetched_anew(server, tmp_path, served, what):
    row, _ = download(server, tmp_path, served=served)
    assert row["ok"], f"{what}: {row['error_detail']}"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(server, tmp_path):
    download(server, tmp_path, served=Served(CONTENT, TAG, broken_after=[HALF]), max_retries=0)
    other = CONTENT[::-1]
    row, heads = download(server, tmp_path, served=Served(other, {"ETag": '"v2"'}))
    assert (row["status"], "range" in heads[0]) == (200, True)
    assert (tmp_path / "a.bin").read_bytes() == other
    assert names(tmp_path) == ["a.bin"]


def test_a_part_of_another_version_is_not_put_to_the_beginning(server, tmp_path):
    served = Served(CONTENT, TAG, broken_after=[HALF])
    download(server, tmp_path, served=served, max_retries=0)
    # This server does not look at If-Range.
    lying = Served(CONTENT[::-1], {"ETag": '"v2"'})
    server.files["a.bin"] = lying
    note = next(path for path in tmp_path.iterdir() if path.suffix == ".json")
    assert json.loads(note.read_text()) == {"validator": '"v1"'}
    lying.headers = dict(lying.headers)
    server.ignore_if_range = True
    row, heads = download(server, tmp_path, served=lying)
    assert row["ok"]
    assert "range" in heads[0]
    assert (tmp_path / "a.bin").read_bytes() == lying.content


def test_a_note_that_cannot_be_read_costs_nothing(server, tmp_path):
    served = Served(CONTENT, TAG, broken_after=[HALF])
    download(server, tmp_path, served=served, max_retries=0)
    note = next(path for path in tmp_path.iterdir() if path.suffix == ".json")
    for text in ("{", "[]", '{"validator": 3}', "{}"):
        note.write_text(text)
        row, _ = download(server, tmp_path, served=Served(CONTENT, TAG))
        assert (row["status"], (tmp_path / "a.bin").read_bytes() == CONTENT) == (200, True)


def test_two_runs_at_once_never_mix_their_parts(server, tmp_path):
    download(server, tmp_path, served=Served(CONTENT, TAG, broken_after=[HALF]), max_retries=0)
    frames = []
    runs = [threading.Thread(target=lambda: frames.append(fastreq(f"{server.url}/files/a.bin", save_to=str(tmp_path)))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert all(frame["ok"].all() for frame in frames)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_range_that_the_user_asks_for_stays(server, tmp_path):
    row, heads = download(server, tmp_path, served=Served(CONTENT, TAG), headers={"Range": "bytes=999000-"})
    assert heads[0]["range"] == "bytes=999000-"
    assert (row["status"], (tmp_path / "a.bin").read_bytes()) == (206, CONTENT[999_000:])


def test_the_progress_tells_of_large_files(server, tmp_path):
    server.files["a.bin"], server.held = Served(4 << 20), True
    run = submit(f"{server.url}/files/a.bin", save_to=str(tmp_path))
    assert server.halfway.wait(60)
    while not (files := run.progress.files) or files[0].received_bytes < 2 << 20:
        pass
    server.go_on.set()
    assert (files[0].position, files[0].path, files[0].total_bytes) == (0, f"{tmp_path}/a.bin", 4 << 20)
    run.finished.result(60)
    assert run.progress.files == ()


def test_the_line_tells_how_much_of_the_file_is_there_how_fast_and_how_long():
    file = FileProgress(0, "in/film.iso", 1_200_000_000, 4_000_000_000, 35_000_000.0, 80.0)
    line = progress_line(Progress(1, 0, 0, 0, 0, 1, 0, 0, 1.0, 0.0, None, None, files=(file, file)))
    assert "film.iso" in line
    assert line.endswith("/s, 80 s left and 1 more")


def test_answers_name_their_files(server, tmp_path):
    server.files |= {
        "1": Served(b"a", {"Content-Disposition": 'attachment; filename="report.csv"'}),
        "2": Served(b"b", {"Content-Disposition": "attachment; filename*=UTF-8''report.csv"}),
        "3": Served(b"c", {"Content-Disposition": 'attachment; filename="../../REPORT.csv"'}),
        "4.txt": Served(b"d"),
    }
    frame = fastreq(
        [f"{server.url}/files/{name}?x=1" for name in ("1", "2", "3", "4.txt")], save_to=f"{tmp_path}/{{{{$filename}}}}", concurrency=1
    )
    assert [Path(path).name for path in frame["data"]] == ["report.csv", "report (1).csv", "REPORT (2).csv", "4_x=1.txt"]
    assert [Path(path).read_bytes() for path in frame["data"]] == [b"a", b"b", b"c", b"d"]


def test_a_cell_may_put_a_value_before_the_name(server, tmp_path):
    server.files["1"] = Served(b"a", {"Content-Disposition": "attachment; filename=x.csv"})
    items = list(
        build(
            "{{base}}/files/{{n}}",
            options=Options.of(save_to=f"{tmp_path}/{{{{n}}}} {{{{ $filename }}}}"),
            namespace={"base": server.url, "n": 1},
        ).items
    )
    assert fastreq(items)["data"].tolist() == [f"{tmp_path}/1 x.csv"]


def test_a_journal_finds_such_files_again_and_spares_them(server, tmp_path):
    said = {"Content-Disposition": "attachment; filename=x.csv"}
    server.files |= {"1": Served(b"a", said, statuses=[404]), "2": Served(b"b", said)}
    options = {"save_to": f"{tmp_path}/in/{{{{$filename}}}}", "journal": str(tmp_path / "runs.db"), "max_retries": 0}
    urls = [f"{server.url}/files/{name}" for name in ("1", "2")]
    fastreq(urls, **options)
    frame = fastreq(urls, **options, retry_unsafe=True)
    assert frame["data"][1] == f"{tmp_path}/in/x.csv"
    assert (tmp_path / "in" / "x.csv").read_bytes() == b"b"


@pytest.mark.parametrize("template", ["a/{{$filename}}/b", "{{$filename}}/x"])
def test_the_answer_names_no_directory(template):
    with pytest.raises(OptionError, match="names a file, not a directory"):
        fastreq("http://h/", save_to=template)


def test_what_is_there_cannot_be_skipped_by_a_name_that_is_not_known():
    with pytest.raises(OptionError, match="known only by the answer"):
        fastreq("http://h/", save_to="{{$filename}}", skip_existing=True)


def test_other_dynamic_values_still_name_no_file_in_a_function():
    with pytest.raises(UsageError, match="unknown here"):
        fastreq("http://h/", save_to="{{$uuid}}")
    with pytest.raises(CellSyntaxError, match="save_to"):
        list(build("http://h/", options=Options.of(save_to="{{$filenam}}")).items)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=plain.txt; size=3", "plain.txt"),
        ('inline; FILENAME="x.txt"', "x.txt"),
        ("attachment; filename=\"fallback.txt\"; filename*=UTF-8'en'%e2%82%ac%20rates.txt", "€ rates.txt"),
        ("attachment; filename*=iso-8859-1''%A3.txt", "£.txt"),
        ("attachment; filename=ok.txt; filename*=nonsense''%ff", "ok.txt"),
        ("attachment; filename=ok.txt; filename*=UTF-8''%ff%fe", "ok.txt"),
        ('attachment; filename="' + "ü.txt".encode().decode("latin-1") + '"', "ü.txt"),
        ('attachment; filename="caf\xe9.txt"', "café.txt"),
        ('attachment; filename="a%20b.txt"', "a b.txt"),
        (r'attachment; filename="a\"b.txt"', "a_b.txt"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\Users\\\\x.txt"', "x.txt"),
        ('attachment; filename="..%2f..%2f.bashrc"', "_bashrc"),
        ('attachment; filename=".ssh"', "_ssh"),
        ('attachment; filename="con.txt"', "_con.txt"),
        ('attachment; filename="gnp\u202e.exe"'.encode("utf-8").decode("latin-1"), "gnp.exe"),
        ('attachment; filename=""', None),
        ('attachment; filename=".."', None),
        ("attachment", None),
        ("filename=x.txt", "x.txt"),
        (None, None),
    ],
)
def test_the_name_in_a_content_disposition_is_made_safe(disposition, name):
    assert file_name_from(disposition) == name


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_content_disposition_names_more_than_one_file_in_its_place(text):
    for disposition in (f'attachment; filename="{text}"', f"attachment; filename={text}", text):
        name = file_name_from(disposition)
        assert name is None or (name not in ("", ".", "..") and "/" not in name and "\\" not in name and not name.startswith("."))


@pytest.mark.parametrize(
    ("path", "name"), [("d.x/a.csv", "d.x/a (1).csv"), ("a.tar.gz", "a (1).tar.gz"), ("d.x/a", "d.x/a (1)"), ("d/.x", "d/.x (1)")]
)
def test_a_number_goes_before_the_ending(path, name):
    assert (numbered(path, 0), numbered(path, 1)) == (path, name)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_100_mb_are_received_in_little_memory(server, backend, tmp_path, measured):
    server.files["big.bin"] = Served(100 << 20, TAG)
    growth = grown(server, backend, "", tmp_path)
    measured("memory beyond the start, 100 MB down", backend, f"{growth} MB")
    assert growth < MOST_MB


def test_a_cancelled_download_is_gone_on_with_by_the_next_run(server, tmp_path):
    server.files["a.bin"], server.held = Served(4 << 20, TAG), True
    run = submit(f"{server.url}/files/a.bin", save_to=str(tmp_path))
    assert server.halfway.wait(60)
    while not run.progress.files or run.progress.files[0].received_bytes < 2 << 20:
        pass
    run.cancel()
    run.finished.result(60)
    assert not (tmp_path / "a.bin").exists()
    server.held = False
    server.go_on.set()
    row = fastreq(f"{server.url}/files/a.bin", save_to=str(tmp_path)).iloc[0]
    assert (row["ok"], server.heads[-1]["range"]) == (True, f"bytes={2 << 20}-")
    assert (tmp_path / "a.bin").stat().st_size == 4 << 20


def test_what_is_tried_again_takes_no_file_of_a_good_row(server, tmp_path):
    said = {"Content-Disposition": "attachment; filename=x.csv"}
    server.files |= {"1": Served(b"1", said, statuses=[404]), "2": Served(b"2", said)}
    frame = fastreq([f"{server.url}/files/{name}" for name in ("1", "2")], save_to=f"{tmp_path}/{{{{$filename}}}}", max_retries=0)
    again = frame.fastreq.retry_failed()
    assert again["data"].tolist() == [f"{tmp_path}/x (1).csv", f"{tmp_path}/x.csv"]
    assert [Path(path).read_bytes() for path in again["data"]] == [b"1", b"2"]
