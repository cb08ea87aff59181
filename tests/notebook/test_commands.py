"""``%fastreq cache``: what is kept, and taking it out."""

import pytest

from fastreq_jupyter import UsageError, fastreq


@pytest.fixture
def shell(ipython, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return ipython


def keep(server, count=3, **options):
    urls = [f"{server.url}/things/{n}?token=mine" for n in range(count)]
    fastreq(urls, cache="forever", progress="none", proxy="none", **options)


def test_it_lists_what_is_kept_without_secrets(shell, counting_server, capsys):
    keep(counting_server)
    frame = shell.run_line_magic("fastreq", "cache")
    assert list(frame.columns) == ["method", "url", "status", "size_bytes", "stored_at"]
    assert frame["url"].str.endswith("?token=***").all()
    assert ".fastreq/cache.db: 3 answers, " in capsys.readouterr().out


def test_it_takes_out_what_fits_a_pattern_or_all(shell, counting_server, capsys):
    keep(counting_server)
    shell.run_line_magic("fastreq", "cache clear *nothing*")
    shell.run_line_magic("fastreq", "cache clear *things/1*")
    shell.run_line_magic("fastreq", "cache clear")
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in told] == [
        "0 of 3 answers removed; no URL fits *nothing* (* stands for anything)", "1 of 3 answers removed", "2 of 2 answers removed",
    ]  # fmt: skip
    keep(counting_server)
    assert len(counting_server.arrivals) == 6


def test_another_file_is_named_on_the_line_or_by_config(shell, counting_server, capsys):
    keep(counting_server, cache_file="mine.jsonl")
    shell.run_line_magic("fastreq", "cache clear *things/0* --cache-file mine.jsonl")
    shell.run_line_magic("config", "Fastreq.cache_file = 'mine.jsonl'")
    assert len(shell.run_line_magic("fastreq", "cache")) == 2
    assert "mine.jsonl: 1 of 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"), [("cache", "there is no cache"), ("cache list", "%fastreq cache lists"), ("cache clear a b", "%fastreq cache")]
)
def test_what_cannot_be_is_one_line(shell, line, words):
    with pytest.raises(UsageError, match=words):
        shell.run_line_magic("fastreq", line)
