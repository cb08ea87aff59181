import pytest

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.policy.framing import is_unasked_part, read_head


def as_sent(lines):
    return tuple((name.encode("latin-1"), value.encode("utf-8")) for name, value in lines)


@pytest.mark.parametrize("status", [0, 20, 99, 100, 101, 199, 1000, 2000])
def test_a_status_that_is_no_final_answer_is_refused(status):
    with pytest.raises(BackendError, match=str(status)):
        read_head(status, as_sent(()))


@pytest.mark.parametrize("status", [200, 304, 599, 600, 999])
def test_every_final_status_of_three_digits_is_taken(status):
    read_head(status, as_sent(()))


@pytest.mark.parametrize("value", ["", "-1", "+5", "0x5", "1_0", "5 5", "abc", "3, 5", "9" * 19, "\u0665", "1.0"])
def test_a_content_length_that_is_no_number_is_refused(value):
    with pytest.raises(BackendError, match="Content-Length"):
        read_head(200, as_sent((("Content-Length", value),)))


def test_two_content_lengths_must_agree():
    read_head(200, as_sent((("Content-Length", "5"), ("content-length", "5"))))
    with pytest.raises(BackendError):
        read_head(200, as_sent((("Content-Length", "5"), ("content-length", "6"))))


@pytest.mark.parametrize("value", ["rot13", "gzip, chunked", "chunked, chunked", "", "chunked, gzip"])
def test_a_transfer_coding_that_nobody_decodes_is_refused(value):
    with pytest.raises(BackendError, match="transfer coding"):
        read_head(200, as_sent((("Transfer-Encoding", value),)))


def test_chunked_in_any_case_is_taken_but_not_along_with_a_length():
    read_head(200, as_sent((("transfer-encoding", "Chunked"),)))
    with pytest.raises(BackendError, match="both"):
        read_head(200, as_sent((("Transfer-Encoding", "chunked"), ("Content-Length", "3"))))


@pytest.mark.parametrize("line", [("X A", "1"), ("Content-Length ", "5"), ("", "x"), ("X-A", "a\0b"), ("X-A", "a\rb"), ("X-A", "a\nb")])
def test_a_malformed_field_line_is_refused(line):
    with pytest.raises(BackendError, match="field line"):
        read_head(200, as_sent((line,)))


@pytest.mark.parametrize(
    ("value", "codings", "unknown"),
    [
        ("UTF-8", (), "utf-8"), ("none", (), "none"), ("aws-chunked", (), "aws-chunked"), ("aws-chunked, gzip", ("gzip",), "aws-chunked"),
        ("gzip", ("gzip",), None), ("identity", (), None), ("", (), None), ("a, b, a", (), "a, b"), ("x" * 50, (), "x" * 40),
    ],
)  # fmt: skip
def test_a_coding_that_nobody_knows_is_none(value, codings, unknown):
    head = read_head(200, as_sent((("Content-Encoding", value),)))
    assert (head.codings, head.unknown) == (codings, unknown)


@pytest.mark.parametrize(("status", "asked", "unasked"), [(206, (), True), (206, (("range", "bytes=0-1"),), False), (200, (), False)])
def test_a_part_is_one_that_was_asked_for_or_not(status, asked, unasked):
    assert is_unasked_part(status, asked) == unasked
