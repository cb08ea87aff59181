from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import TABLE, Options, Rate, Share

CANARY = "canary-5ecret"
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({"concurrency": "50"}, 50), ({"concurrency": np.int64(50)}, 50), ({"concurrency": 1000}, 1000), ({"concurrency": "AUTO"}, "auto"), ({"max_retries": 0}, 0), ({"limit": 0}, 0),
        ({"timeout": "90s"}, 90.0), ({"timeout": np.float64(1.5)}, 1.5), ({"deadline": "2 h"}, 7200.0), ({"max_body": "10MB"}, 10_000_000),
        ({"rate_limit": 5}, Rate(5.0)), ({"rate_limit": "60/min"}, Rate(60.0, 60.0, whole=True)), ({"rate_limit": None}, None),
        ({"max_failures": "5%"}, Share(fraction=0.05)), ({"max_failures": "NONE"}, "none"), ({"check": True}, Share(count=0)), ({"check": False}, None),
        ({"backend": "AIOHTTP"}, "aiohttp"), ({"method": "post"}, "POST"), ({"proxy": None}, "none"), ({"proxy": "ENV"}, "env"),
        ({"verify_ssl": "false"}, False), ({"verify_ssl": Path(__file__)}, __file__), ({"auth": ["u", "p"]}, ("u", "p")), ({"auth": {"http://h": "t"}}, {"http://h": "t"}),
        ({"headers": "A: b: c"}, (("A", "b: c"),)), ({"headers": {"A": 1}}, (("A", "1"),)), ({"http2": "auto"}, "auto"), ({"http2": "yes"}, True),
        ({"save_to": Path("x")}, "x"), ({"params": [["a", 1]]}, (("a", 1),)),
    ],
)  # fmt: skip
def test_value_is_read(given_, wanted):
    [(name, value)] = given_.items()
    assert getattr(Options.of(**{name: value}), name) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("concurrency", value)
            for value in (0, -1, 1001, 10**9, nan, inf, 2.5, "ten", "automatic", "", None, True, [], "5" * 5000, b"5", "1" * 10**6)
        ],
        *[("timeout", value) for value in (0, -1, nan, inf, "ten", "", True, [], "5 parsecs", 10**400, "9" * 400)],
        *[("rate_limit", value) for value in (0, -1, nan, inf, "ten", "", True, "0/s", "2.5/s", "5/fortnight", 10**9)],
        *[("max_body", value) for value in (0, -1, 1.5, nan, "big", None, True, 2**60)],
        *[("max_failures", value) for value in (-1, "101%", "-5%", nan, "many", True, [])],
        *[("max_retries", value) for value in (-1, 21, "x", 1.0)],
        *[("backend", value) for value in ("pycurl", "httpx", "", None, 5)],
        *[("method", value) for value in ("", "GE T", "GET\r\n", "G(ET", 5, b"GET")],
        *[("verify_ssl", value) for value in ("/no/such/file", None, 5, "", "a\x00b")],
        *[("follow_redirects", value) for value in (None, 5, "maybe", [])],
        *[("auth", value) for value in (5, "", ("a",), ("a", "b", "c"), ("a:b", "c"), ("a", 5), "a\nb", {"http://h": 5})],
        *[("headers", value) for value in ("no colon", {"a b": "c"}, {"A": "x\r\ny"}, [("A",)], {"": "x"}, {"A": "x\x7f"}, 5)],
        *[("proxy", value) for value in ("ftp://h", "http://", "h:1", "http://h:99999", 5, "", "http://h:x")],
        *[("params", value) for value in (5, "abc", [1])],
        *[("parse_func", value) for value in (5, "len")],
        *[("journal", value) for value in ("", "  ", 5)],
        *[("return_type", value) for value in ("frame", "", None)],
    ],
)
def test_wrong_value_is_refused_in_one_line_that_names_the_option(name, value):
    with pytest.raises(OptionError) as caught:
        Options.of(**{name: value})
    line = str(caught.value)
    assert name in line
    assert line.isprintable()
    assert len(line) < 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth", ("user:x", CANARY)), ("auth", (CANARY,)), ("auth", CANARY + "\n"), ("auth", {"http://h": (CANARY, CANARY, CANARY)}), ("proxy", f"ftp://u:{CANARY}@h"),
        ("proxy", f"http://u:{CANARY}@h:99999"), ("proxy", f"http://u:{CANARY}@[h"), ("headers", {"Authorization": f"{CANARY}\r\n"}), ("headers", CANARY),
        ("headers", [CANARY]), ("headers", {CANARY + " ": "x"}), ("params", CANARY), ("cookies", CANARY),
    ],
)  # fmt: skip
def test_refusal_never_echoes_what_may_be_a_secret(name, value):
    with pytest.raises(OptionError) as caught:
        Options.of(**{name: value})
    assert CANARY not in str(caught.value)


@given(st.sampled_from(sorted(TABLE)), ANY)
def test_any_value_is_read_or_refused_in_one_line(name, value):
    try:
        Options.of(**{name: value})
    except OptionError as error:
        line = str(error)
    else:
        line = ""
    assert line == "" or (line.isprintable() and len(line) < 500)
