from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.options import Rate, Share, parse_duration, parse_rate, parse_share, parse_size, show_bytes, show_seconds

NO_NUMBERS = [
    "",
    " ",
    "ten",
    "-1",
    "1e3",
    "1,5",
    "nan",
    "inf",
    "0x10",
    "5 parsecs",
    "1 2",
    "--",
    None,
    True,
    False,
    [],
    b"5",
    nan,
    inf,
    -inf,
]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.5, 0.5), ("90s", 90.0), ("1.5h", 5400.0), ("10min", 600.0), ("10 Minutes", 600.0), ("250ms", 0.25), (" 2 m ", 120.0), ("1d", 86400.0),
     ("7", 7.0), (".5s", 0.5), ("5.", 5.0), ("3 secs", 3.0), (np.int64(3), 3.0), (np.float32(0.5), 0.5)],
)  # fmt: skip
def test_durations_are_seconds(value, seconds):
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 5),
        ("10MB", 10_000_000),
        ("64KiB", 65_536),
        ("1.5 GB", 1_500_000_000),
        ("2g", 2_000_000_000),
        ("7", 7),
        ("7b", 7),
        ("1TiB", 2**40),
        (np.int32(9), 9),
    ],
)
def test_sizes_are_bytes(value, size):
    assert parse_size(value) == size


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (5, Rate(5.0)),
        ("2.5", Rate(2.5)),
        ("60/min", Rate(60.0, 60.0, whole=True)),
        ("1000 / h", Rate(1000.0, 3600.0, whole=True)),
        ("5/s", Rate(5.0, 1.0, whole=True)),
        ("9/Day", Rate(9.0, 86400.0, whole=True)),
    ],
)
def test_rates_are_a_number_or_a_window(value, rate):
    assert parse_rate(value) == rate
    assert parse_rate(rate) is rate


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (10, Share(count=10)),
        ("10", Share(count=10)),
        ("5%", Share(fraction=0.05)),
        (0.05, Share(fraction=0.05)),
        (5.0, Share(count=5)),
        ("100%", Share(fraction=1.0)),
        ("0", Share(count=0)),
    ],
)
def test_bounds_on_failures_are_a_count_or_a_share(value, share):
    assert parse_share(value) == share
    assert parse_share(share) is share


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_quantity_is_refused(parse, value):
    with pytest.raises(ValueError):  # noqa: PT011 - without message: the option says its range
        parse(value)


@pytest.mark.parametrize("value", ["", "ten", "nan", "inf", "5/fortnight", "/s", "5/", None, True, nan, inf, []])
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 - without message: the option says its range
        parse_rate(value)


@pytest.mark.parametrize("value", ["", "ten", "-1", "101%", "-5%", "nan%", "%", None, True, nan, inf, 1.5, []])
def test_what_is_no_bound_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        parse_share(value)


@pytest.mark.parametrize("piece", ["1", " ", "1 ", ".", "1.", "s", "1/", "%"])
def test_a_megabyte_is_refused(piece):
    text = "1" + piece * (1_000_000 // len(piece)) + "x"
    for parse in (parse_duration, parse_size, parse_rate, parse_share):
        with pytest.raises((ValueError, TypeError)):
            parse(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (980, "980 B"), (1500, "1.5 kB"), (12_000_000, "12 MB"), (1_400_000_000, "1.4 GB"), (5e12, "5000 GB")]
)
def test_bytes_are_written_for_people(size, text):
    assert show_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.00 s"), (0.434, "0.43 s"), (8.42, "8.4 s"), (84, "84 s"), (725, "12 min 5 s"), (11_520, "3 h 12 min")]
)
def test_seconds_are_written_for_people(seconds, text):
    assert show_seconds(seconds) == text


@given(st.integers(1, 10**9), st.sampled_from(["ms", "s", "min", "h", "d"]))
def test_unit_scales_a_duration(number, unit):
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * parse_duration(f"1{unit}"))
