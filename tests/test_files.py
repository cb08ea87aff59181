import os
import subprocess
import sys
import textwrap

import pytest

from fastreq_jupyter.files import AtomicFile, safe_segment


def names(directory):
    return [path.name for path in directory.iterdir()]


def test_file_is_there_whole_after_commit(tmp_path):
    file = AtomicFile(tmp_path / "a.bin")
    file.write(b"one ")
    file.write(b"two")
    file.commit()
    assert (tmp_path / "a.bin").read_bytes() == b"one two"
    assert names(tmp_path) == ["a.bin"]


def test_nothing_is_there_before_commit(tmp_path):
    file = AtomicFile(tmp_path / "a.bin")
    file.write(b"one")
    assert not (tmp_path / "a.bin").exists()
    file.discard()


def test_discard_leaves_nothing_and_keeps_the_old_file(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    file = AtomicFile(tmp_path / "a.bin")
    file.write(b"new")
    file.discard()
    file.discard()
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_discard_after_commit_changes_nothing(tmp_path):
    file = AtomicFile(str(tmp_path / "a.bin"))
    file.commit()
    file.discard()
    assert (tmp_path / "a.bin").read_bytes() == b""


def test_missing_directories_are_made(tmp_path):
    file = AtomicFile(tmp_path / "x" / "y" / "a.bin")
    file.commit()
    assert (tmp_path / "x" / "y" / "a.bin").exists()


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    script = f"import os; os.umask({umask}); from fastreq_jupyter.files import AtomicFile as A; A('a.bin').commit()"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_link_in_the_way_is_replaced_not_followed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.bin").symlink_to(outside)
    file = AtomicFile(tmp_path / "d" / "a.bin")
    file.write(b"new")
    file.commit()
    assert outside.read_text() == "mine"
    assert not (tmp_path / "d" / "a.bin").is_symlink()


def test_directory_in_the_way_is_an_os_error_and_leaves_nothing(tmp_path):
    (tmp_path / "a.bin").mkdir()
    file = AtomicFile(tmp_path / "a.bin")
    with pytest.raises(OSError, match=r"a\.bin"):
        file.commit()
    assert names(tmp_path) == ["a.bin"]


def test_longest_file_name_works(tmp_path):
    name = "n" * 255
    AtomicFile(tmp_path / name).commit()
    assert (tmp_path / name).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_full_disk_is_an_os_error_and_leaves_nothing(tmp_path):
    script = textwrap.dedent("""
        import resource, signal
        from fastreq_jupyter.files import AtomicFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        file = AtomicFile("a.bin")
        try:
            for _ in range(10):
                file.write(b"x" * 65_536)
            file.commit()
        except OSError:
            print("told")
        finally:
            file.discard()
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "told\n"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "beginning", "end"),
    [
        ("x" * 300 + ".txt", "xxx", "x.txt"),
        ("x" * 300 + ".tar.gz", "xxx", "x.tar.gz"),
        ("\N{GRINNING FACE}" * 99 + ".pdf", "\N{GRINNING FACE}", "\N{GRINNING FACE}.pdf"),
        ("x" * 300, "xxx", "xxx"),
        ("." + "x" * 300, ".x", "xxx"),
        ("report.txt", "report.txt", "report.txt"),
    ],
)
def test_a_long_name_is_cut_before_its_ending(text, beginning, end):
    name = safe_segment(text)
    assert name.startswith(beginning)
    assert name.endswith(end)
    assert len(name.encode()) == min(len(text.encode()), 200) or len((name + "\N{GRINNING FACE}").encode()) > 200
