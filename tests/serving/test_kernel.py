"""The kernel of the tests runs cells and tells what they gave."""

import sys

import pytest

from serving.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture(scope="module")
def kernel():
    with Kernel(sys.executable) as running:
        yield running


def test_it_tells_what_a_cell_printed_and_gave(kernel):
    ran = kernel.run("print('hello'); 6 * 7")
    assert (ran.text, ran.result, ran.error) == ("hello\n", "42", None)


def test_it_tells_an_error(kernel):
    assert kernel.run("1 / 0").error == "ZeroDivisionError: division by zero"


def test_a_good_cell_is_demanded(kernel):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        kernel.run("1 / 0").good()


def test_it_reads_json(kernel):
    assert kernel.value("import json; print('noise'); print(json.dumps([1, None]))") == [1, None]


def test_it_interrupts(kernel):
    message = kernel.start("import time\nprint('go', flush=True)\nfor _ in range(600): time.sleep(.1)")
    while True:
        seen = kernel.client.get_iopub_msg(timeout=10)
        if seen["msg_type"] == "stream":
            break
    kernel.interrupt()
    assert kernel.finish(message).error == "KeyboardInterrupt: "
