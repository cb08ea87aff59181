"""Interrupts, reloads, blocked and closed loops, threads: the finished rows stay, nothing else does."""

import time

import pytest
from faultserver import scripts
from faultserver.server import routes

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

QUICK, HANGING = 3, 30


@pytest.fixture
def door(faultserver):
    """Answer /good at once and /hang never: a cell that ends has not waited for its answers, nor for their timeouts."""
    return faultserver.open(routes({"/good": scripts.reply(200, b"good")}, scripts.hangs()))


def urls(door):
    return [*[door.url("/good")] * QUICK, *[door.url(f"/hang{n}") for n in range(HANGING)]]


def cells(door):
    lines = "\n".join(urls(door))
    call = f"{urls(door)!r}, concurrency=10, timeout=3600, max_retries=0"
    return {
        "magic": f"%%fastreq df -c 10 -t 3600 --retries 0\n{lines}",
        "magic in time": f"%%time\n%%fastreq df -c 10 -t 3600 --retries 0\n{lines}",
        "function": f"df = fastreq({call})",
        "coroutine": f"df = await fastreq_async({call})",
        "awaited run": f"df = await submit({call})",
    }


KINDS = ("magic", "magic in time", "function", "coroutine", "awaited run")


def sent(door, before=0):
    """Wait until the quick ones have given up their slots and ten hang."""
    assert door.wait(lambda d: d.count() - before == QUICK + 10)
    time.sleep(0.3)


def interrupt_in_mid_run(kernel, door, cell):
    before = door.count()
    number = kernel.send(cell)
    sent(door, before)
    kernel.interrupt()
    return kernel.wait(number)


def check_interrupted(kernel, door, reply, frame):
    assert reply.status == "error"
    assert reply.ename in {"KeyboardInterrupt", "CancelledError"}, reply.text
    arrived = door.count()
    assert door.wait(lambda d: d.open_links <= QUICK)
    assert kernel.value(f"{frame}['error'].fillna('').tolist()") == [""] * QUICK + ["cancelled"] * HANGING
    assert kernel.value(f"{frame}['data'].tolist()[:{QUICK}]") == ["good"] * QUICK
    assert door.count() == arrived


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_ends_the_cell_while_servers_hang_and_keeps_the_finished_rows(kernel, door, kind):
    reply = interrupt_in_mid_run(kernel, door, cells(door)[kind])
    frame = "df" if "magic" in kind else "last_run().df"
    check_interrupted(kernel, door, reply, frame)
    assert reply.ename == "KeyboardInterrupt"
    assert str(QUICK) in reply.evalue
    assert frame.partition("(")[0] in reply.evalue
    assert "Task was destroyed" not in kernel.errors + reply.text


def test_interrupted_twice_then_run_again(kernel, door):
    for _ in range(2):
        reply = interrupt_in_mid_run(kernel, door, cells(door)["magic"])
        check_interrupted(kernel, door, reply, "df")
    again = kernel.run(f"%%fastreq df\n{door.url('/good')}")
    assert again.status == "ok", again.text
    assert kernel.value("df['data'].tolist()") == ["good"]
    kernel.drain()
    assert "Task was destroyed" not in kernel.errors


def test_two_interrupts_at_once_are_one(kernel, door):
    number = kernel.send(cells(door)["magic"])
    sent(door)
    kernel.interrupt()
    time.sleep(0.05)
    kernel.interrupt()
    assert kernel.wait(number).status == "error"
    assert kernel.value("df['ok'].sum().item()") == QUICK


def test_an_interrupted_cell_stops_the_cells_behind_it(kernel, door):
    first = kernel.send(cells(door)["magic"], stop_on_error=True)
    second = kernel.send("reached = True")
    sent(door)
    kernel.interrupt()
    assert kernel.wait(first).status == "error"
    assert kernel.wait(second).status == "aborted"


CANCELLING = f"""
import threading, time
def cancel_when_the_quick_ones_are_there():
    while last_run() is None or last_run().progress.done < {QUICK}:
        time.sleep(0.02)
    last_run().cancel()
threading.Thread(target=cancel_when_the_quick_ones_are_there).start()
"""


def test_cancelling_ends_the_cell_normally_with_the_same_frame_and_says_so(kernel, door):
    kernel.run(CANCELLING)
    reply = kernel.run(cells(door)["magic"])
    assert reply.status == "ok", reply.text
    assert "cancel" in reply.text
    assert kernel.value("df['error'].fillna('').tolist()") == [""] * QUICK + ["cancelled"] * HANGING


@pytest.mark.parametrize("command", ["%reload_ext fastreq_jupyter", "%unload_ext fastreq_jupyter"])
def test_reloading_or_unloading_in_mid_run_harms_no_run(kernel, faultserver, command):
    slow = faultserver.open(scripts.reply(200, b"slow", after=1.0))
    kernel.run(f"%%fastreq run --background\n{slow.url()}\n{slow.url()}")
    assert kernel.run(command).status == "ok"
    reply = kernel.run("df = await run")
    assert reply.status == "ok", reply.text
    assert kernel.value("df['data'].tolist()") == ["slow", "slow"]
    again = kernel.run(f"%load_ext fastreq_jupyter\n%fastreq {slow.url()}")
    assert again.status == "ok", again.text
    assert "Traceback" not in kernel.errors


def test_a_cell_that_blocks_the_loop_for_five_seconds_invents_no_timeout(kernel, faultserver):
    slow = faultserver.open(scripts.reply(200, b"slow", after=0.5))
    reply = kernel.run(
        f"import asyncio, time\n"
        f"task = asyncio.ensure_future(fastreq_async([{slow.url()!r}] * 5, timeout=2, max_retries=0))\n"
        f"await asyncio.sleep(0.3)\ntime.sleep(5)\ndf = await task"
    )
    assert reply.status == "ok", reply.text
    assert kernel.value("df['error'].fillna('').tolist()") == [""] * 5
    assert kernel.value("last_run().summary()['loop_lag_ms']") > 2000


def test_a_background_run_goes_on_while_a_cell_blocks(kernel, faultserver):
    slow = faultserver.open(scripts.reply(200, b"slow", after=0.1))
    kernel.run(f"%%fastreq run --background -c 1\n{chr(10).join([slow.url()] * 20)}")
    blocking = kernel.send("import os, time\nwhile not os.path.exists('go on'):\n    time.sleep(0.05)")
    assert slow.wait(lambda d: d.count() == 20)
    (kernel.folder / "go on").touch()
    assert kernel.wait(blocking).status == "ok"


def test_two_runs_at_once_are_apart_and_interrupting_one_leaves_the_other(kernel, door, faultserver):
    slow = faultserver.open(scripts.reply(200, b"slow", after=0.3))
    kernel.run(f"%%fastreq behind --background -c 1\n{chr(10).join([slow.url()] * 8)}")
    reply = interrupt_in_mid_run(kernel, door, cells(door)["magic"])
    check_interrupted(kernel, door, reply, "df")
    kernel.run("both = await behind")
    assert kernel.value("both['data'].tolist()") == ["slow"] * 8


def test_a_thread_of_the_kernel_can_send(kernel, faultserver):
    slow = faultserver.open(scripts.reply(200, b"threads"))
    reply = kernel.run(
        f"import threading\nfound = []\n"
        f"threads = [threading.Thread(target=lambda: found.append(fastreq([{slow.url()!r}] * 3))) for _ in range(3)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]"
    )
    assert reply.status == "ok", reply.text
    assert kernel.value("[frame['data'].tolist() for frame in found]") == [["threads"] * 3] * 3


def test_interrupts_leave_no_descriptor_behind(kernel, door):
    kernel.run("import os\ncount = lambda: len(os.listdir('/proc/self/fd'))")
    kernel.run(f"fastreq([{door.url('/good')!r}])")
    before = kernel.value("count()")
    for _ in range(3):
        interrupt_in_mid_run(kernel, door, cells(door)["function"])
    # idle connections of the last run's pool stay warm: one for each quick request at most
    assert kernel.value("count()") - before <= 10
    assert door.wait(lambda d: d.open_links <= 10)
