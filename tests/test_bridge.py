"""Where a run lives and how its caller waits, with a run that is only a timer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Future

import pytest

from fastreq_jupyter import bridge
from fastreq_jupyter.errors import OptionError


class TimerRun:
    """Finish after `seconds`, or `drain` seconds after it was cancelled."""

    def __init__(self, seconds=0.05, drain=0.02):
        self.finished = Future()
        self.finished.set_running_or_notify_cancel()
        self.drain = drain
        self.cancelled = 0
        self.loop = asyncio.get_running_loop()
        self.thread = threading.current_thread()
        self._timer = self.loop.call_later(seconds, self._finish)

    def cancel(self):
        self.cancelled += 1
        self.loop.call_soon_threadsafe(self._hurry)

    def _hurry(self):
        self._timer.cancel()
        self._timer = self.loop.call_later(self.drain, self._finish)

    def _finish(self):
        if not self.finished.done():
            self.finished.set_result(None)


def interrupt_after(seconds, times=1):
    def send():
        for _ in range(times):
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def run_python(code, *, timeout=240):
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_without_a_loop_a_call_waits_on_a_runner_of_its_thread():
    waited = bridge.wait_blocking(TimerRun)
    assert waited.run.finished.done()
    assert waited.run.thread is threading.current_thread()
    assert not waited.interrupted


def test_the_runner_of_a_thread_is_kept():
    assert bridge.wait_blocking(TimerRun).run.loop is bridge.wait_blocking(TimerRun).run.loop


def test_another_thread_has_its_own_runner_which_is_closed_with_it():
    loops = []
    thread = threading.Thread(target=lambda: loops.append(bridge.wait_blocking(TimerRun).run.loop))
    thread.start()
    thread.join()
    assert loops[0] is not bridge.wait_blocking(TimerRun).run.loop
    assert loops[0].is_closed()


def test_loop_thread_runs_on_the_one_service_thread():
    first = bridge.wait_blocking(TimerRun, loop="thread").run
    second = bridge.wait_blocking(TimerRun, loop="thread").run
    assert first.thread is second.thread
    assert first.thread is not threading.current_thread()
    assert first.thread.daemon


def test_the_service_thread_survives_a_callback_that_exits():
    first = bridge.start(TimerRun)

    def leave():
        raise SystemExit

    first.loop.call_soon_threadsafe(leave)
    assert bridge.wait_blocking(TimerRun, loop="thread").run.thread is first.thread
    first.finished.result(5)


def test_what_the_launch_raises_reaches_the_caller():
    def refuse():
        raise OptionError("no")

    for loop in ("auto", "thread"):
        with pytest.raises(OptionError, match="no"):
            bridge.wait_blocking(refuse, loop=loop)


def test_a_call_inside_a_running_loop_is_nested_in_a_process_of_its_own():
    done = run_python("""
        import asyncio, sys, threading
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        assert "nest_asyncio2" not in sys.modules
        ticks, runs = [], []
        async def other():
            for _ in range(5):
                await asyncio.sleep(0.02)
                ticks.append(1)
            runs[0].cancel()
        async def main():
            bridge.wait_blocking(TimerRun)
            await asyncio.sleep(0)
            task = asyncio.create_task(other())
            run = bridge.wait_blocking(lambda: runs.append(TimerRun(3600)) or runs[0]).run
            assert run.loop is asyncio.get_running_loop()
            assert len(ticks) == 5, ticks
            await task
        asyncio.run(main())
        assert "nest_asyncio2" in sys.modules
    """)
    assert done.returncode == 0, done.stderr


def test_the_call_that_has_a_loop_patched_waits_for_the_service_thread():
    done = run_python("""
        import asyncio, sys, threading
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        from fastreq_jupyter.errors import OptionError
        async def main():
            assert bridge.wait_blocking(TimerRun).run.thread is not threading.current_thread()
            try:
                bridge.wait_blocking(TimerRun, loop="kernel")
            except OptionError as error:
                assert "run it again, or await it" in str(error)
            else:
                raise AssertionError
            await asyncio.sleep(0)
            assert bridge.wait_blocking(TimerRun, loop="kernel").run.loop is asyncio.get_running_loop()
        asyncio.run(main())
    """)
    assert done.returncode == 0, done.stderr


FIRST_CALLS = {
    "ten tasks": """
        async def one():
            return bridge.wait_blocking(TimerRun).run.finished.done()
        async def main():
            return all(await asyncio.gather(*(one() for _ in range(10))))
    """,
    "timers due together": """
        async def one(loop, due):
            timer = asyncio.Event()
            loop.call_at(due, timer.set)
            await timer.wait()
            return bridge.wait_blocking(TimerRun).run.finished.done()
        async def main():
            loop = asyncio.get_running_loop()
            return all(await asyncio.gather(*(one(loop, loop.time() + 0.1) for _ in range(30))))
    """,
    "callbacks": """
        async def main():
            loop = asyncio.get_running_loop()
            runs = []
            for _ in range(20):
                loop.call_soon(lambda: runs.append(bridge.wait_blocking(TimerRun).run))
            while len(runs) < 20:
                await asyncio.sleep(0.01)
            return all(run.finished.done() for run in runs)
    """,
    "a loop that its user patched in the same turn": """
        async def one():
            return bridge.wait_blocking(TimerRun).run.finished.done()
        async def main():
            import nest_asyncio2
            nest_asyncio2.apply()
            return all(await asyncio.gather(*(one() for _ in range(10)), *(asyncio.to_thread(sum, [1]) for _ in range(3))))
    """,
}


def test_hundreds_of_calls_that_block_in_one_loop_do_not_exhaust_the_stack():
    done = run_python("""
        import asyncio, sys
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        from fastreq_jupyter.errors import OptionError
        async def one(loop="auto"):
            return bridge.wait_blocking(TimerRun, loop=loop).run.finished.done()
        async def main():
            await one()
            await asyncio.sleep(0)
            together = await asyncio.gather(*(one() for _ in range(300)))
            refused = await asyncio.gather(*(one("kernel") for _ in range(bridge.NESTED + 2)), return_exceptions=True)
            print(sum(together), sum(isinstance(each, OptionError) for each in refused), await one("kernel"))
        asyncio.run(main())
    """)
    assert (done.stdout, done.returncode) == ("300 2 True\n", 0), done.stderr


@pytest.mark.parametrize("main", FIRST_CALLS.values(), ids=FIRST_CALLS)
def test_first_blocking_calls_of_one_turn_leave_the_loop_alive(main):
    head = """
        import asyncio, sys
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
    """
    done = run_python(f"{textwrap.dedent(head)}{textwrap.dedent(main)}\nprint(asyncio.run(main()))")
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_the_prompt_of_python_m_asyncio_outlives_its_first_blocking_calls(counting_server):
    call = f"len(fastreq(['{counting_server.url}/1'] * 3, progress='none'))"
    lines = [
        "from fastreq_jupyter import fastreq",
        f"async def one(): return {call}\n",
        "print('gathered', sum(await asyncio.gather(*(one() for _ in range(10)))))",
        f"print('rows', {call})",
        "print('slept', await asyncio.sleep(0.01))",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "asyncio"], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert "gathered 30" in done.stdout, done.stderr
    assert "rows 3" in done.stdout, done.stderr
    assert "slept None" in done.stdout, done.stderr


def test_a_loop_that_cannot_be_patched_is_served_by_the_thread():
    done = run_python("""
        import asyncio, sys, threading
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        from fastreq_jupyter.errors import OptionError
        class Foreign:
            pass
        asyncio.events._set_running_loop(Foreign())
        run = bridge.wait_blocking(TimerRun).run
        assert run.thread is not threading.current_thread()
        try:
            bridge.wait_blocking(TimerRun, loop="kernel")
        except OptionError as error:
            assert "kernel" in str(error)
        else:
            raise AssertionError
        assert "nest_asyncio2" not in sys.modules
        asyncio.events._set_running_loop(None)
    """)
    assert done.returncode == 0, done.stderr


async def test_awaiting_lives_on_the_running_loop():
    waited = await bridge.wait_awaiting(TimerRun)
    assert waited.run.loop is asyncio.get_running_loop()


async def test_awaiting_can_be_sent_to_the_thread():
    waited = await bridge.wait_awaiting(TimerRun, loop="thread")
    assert waited.run.thread is not threading.current_thread()


async def test_start_takes_the_running_loop_in_a_program():
    assert bridge.start(TimerRun).loop is asyncio.get_running_loop()


def test_start_takes_the_service_thread_where_no_loop_runs():
    run = bridge.start(TimerRun)
    assert run.thread is not threading.current_thread()
    run.finished.result(5)


def test_start_on_the_kernel_needs_a_running_loop():
    with pytest.raises(OptionError, match="no event loop"):
        bridge.start(TimerRun, loop="kernel")


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_an_interrupt_cancels_the_run_and_waits_until_it_has_drained(loop):
    sender = interrupt_after(0.2)
    waited = bridge.wait_blocking(lambda: TimerRun(3600, drain=0.3), loop=loop)
    sender.join()
    assert waited.interrupted
    assert waited.run.cancelled == 1
    assert waited.run.finished.done()


@pytest.mark.slow
def test_a_second_interrupt_while_draining_changes_nothing():
    sender = interrupt_after(0.2, times=2)
    waited = bridge.wait_blocking(lambda: TimerRun(3600, drain=0.6))
    sender.join()
    assert waited.interrupted
    assert waited.run.finished.done()
    assert not bridge.wait_blocking(TimerRun).interrupted


def test_the_handler_of_interrupts_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    bridge.wait_blocking(TimerRun)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_of_the_users_own_is_left_alone_and_the_run_drained():
    runs = []

    class LeaveError(Exception):
        pass

    def own(number, frame):
        raise LeaveError

    before = signal.signal(signal.SIGINT, own)
    try:
        sender = interrupt_after(0.2)
        with pytest.raises(LeaveError):
            bridge.wait_blocking(lambda: runs.append(TimerRun(3600)) or runs[0])
        sender.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert runs[0].finished.done()


async def test_a_cancelled_coroutine_drains_the_run_and_stays_cancelled():
    runs = []
    task = asyncio.create_task(bridge.wait_awaiting(lambda: runs.append(TimerRun(3600, drain=0.2)) or runs[0]))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs[0].finished.done()


async def test_a_timeout_around_the_coroutine_works():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await bridge.wait_awaiting(lambda: TimerRun(3600))


@pytest.mark.slow
def test_a_run_that_never_drains_lets_its_caller_go(monkeypatch):
    monkeypatch.setattr(bridge, "DRAIN", 0.3)
    for loop in ("auto", "thread"):
        sender = interrupt_after(0.2)
        waited = bridge.wait_blocking(lambda: TimerRun(3600, drain=3600), loop=loop)
        sender.join()
        assert waited.interrupted
        waited.run.loop.call_soon_threadsafe(waited.run._finish)


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_ticks_come_on_the_thread_that_waits(loop):
    seen = []

    def tick(run):
        seen.append(threading.current_thread())
        if len(seen) == 3:
            run.cancel()

    bridge.wait_blocking(lambda: TimerRun(3600), loop=loop, tick=tick)
    assert set(seen) == {threading.current_thread()}


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_a_run_that_is_over_before_anybody_looks_is_shown_too(loop):
    seen = []

    def launch():
        run = TimerRun(3600)
        run._finish()
        return run

    bridge.wait_blocking(launch, loop=loop, tick=seen.append)
    assert [run.finished.done() for run in seen] == [True]


def test_exit_does_not_wait_for_a_run_in_the_background():
    done = run_python("""
        import sys
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        import asyncio
        def launch():
            run = TimerRun(3600)
            run.task = asyncio.get_running_loop().create_task(asyncio.sleep(3600))
            return run
        bridge.start(launch)
        bridge.wait_blocking(TimerRun)
    """)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_gets_loops_of_its_own():
    done = run_python("""
        import os, sys, threading
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        bridge.wait_blocking(TimerRun)
        child = os.fork()
        if child == 0:
            ok = bridge.wait_blocking(TimerRun).run.finished.done() and bridge.wait_blocking(TimerRun, loop="thread").run.finished.done()
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
    """)
    assert done.returncode == 0, done.stderr


def test_a_program_ended_by_interrupt_in_asyncio_run_ends_as_interrupted():
    done = run_python("""
        import asyncio, os, signal, sys, threading
        sys.path.insert(0, "tests")
        from test_bridge import TimerRun
        from fastreq_jupyter import bridge
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        runs = []
        def launch():
            runs.append(TimerRun(3600))
            return runs[0]
        try:
            asyncio.run(bridge.wait_awaiting(launch))
        except KeyboardInterrupt:
            assert runs[0].finished.done()
            print("interrupted")
    """)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
