"""The magics and functions in a real ipykernel, spoken to over its sockets."""

from __future__ import annotations

import os
import time

import pytest
from serving.counting import CountingServer
from serving.kernel import Kernel

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def server():
    with CountingServer() as server:
        yield server


@pytest.fixture(scope="module")
def kernel(kernel_python, root, server):
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    with Kernel(kernel_python, PYTHONPATH=path) as kernel:
        kernel.run(f"base = {server.url!r}\n%load_ext fastreq_jupyter").good()
        kernel.run("from fastreq_jupyter import fastreq, fastreq_async, submit, last_run").good()
        yield kernel


@pytest.fixture(autouse=True)
def _fresh(server):
    server.reset()


def interrupted(kernel, server, code, *, held=1, times=1):
    """Run a cell, interrupt it when so many of its requests are held for ever, and return what it gave.

    Its requests go one at a time, so that those before the held one are finished.
    """
    cell = kernel.start(code)
    until(lambda: server.paths["/delay/3600"] == held)
    time.sleep(0.3)
    for _ in range(times):
        kernel.interrupt()
        time.sleep(0.05)
    return kernel.finish(cell)


def until(told):
    end = time.monotonic() + 60
    while not told():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def test_a_cell_assigns_its_frame_and_ends_with_one_line(kernel):
    ran = kernel.run("%%fastreq orders --progress none\n{{base}}/[1-3]").good()
    assert ran.text.startswith("orders: 3 of 3 ok, ")
    assert kernel.value("import json; print(json.dumps(orders.status.tolist()))") == [200] * 3


def test_a_cell_is_natively_awaited_so_that_the_kernels_loop_goes_on(kernel):
    kernel.run(
        "import asyncio\nbeats = []\nasync def beat():\n    while True:\n        beats.append(1)\n        await asyncio.sleep(0.02)"
    ).good()
    kernel.run("beating = asyncio.get_running_loop().create_task(beat())\nawait asyncio.sleep(0)\nbeats.clear()").good()
    kernel.run("%%fastreq orders --progress none\n{{base}}/delay/1").good()
    count = kernel.value("beating.cancel(); print(len(beats))")
    assert count >= 3
    assert kernel.value("import sys, json; print(json.dumps('nest_asyncio2' in sys.modules))") in (True, False)


def test_awaited_cells_do_not_apply_nest_asyncio(kernel_python, root, server):
    with Kernel(kernel_python, PYTHONPATH=str(root)) as fresh:
        fresh.run(f"base = {server.url!r}\n%load_ext fastreq_jupyter").good()
        fresh.run("%%fastreq orders --progress none\n{{base}}/1").good()
        patched = "import asyncio, json; print(json.dumps(hasattr(asyncio.get_event_loop_policy().get_event_loop(), '_nest_patched')))"
        assert fresh.value(patched) is False
        fresh.run("%%time\n%fastreq {{base}}/1 --progress none").good()
        assert fresh.value(patched) is True


GATHERED = """import asyncio
async def one(i):
    return {call}
print(len(await asyncio.gather(*(one(i) for i in range(10)))))"""
DUE_TOGETHER = """import asyncio
loop = asyncio.get_running_loop()
due = loop.time() + 0.3
async def one():
    event = asyncio.Event()
    loop.call_at(due, event.set)
    await event.wait()
    return fastreq(base + '/1', progress='none')
print(len(await asyncio.gather(*(one() for _ in range(30)))))"""


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        (GATHERED.format(call="fastreq([f'{base}/{i}'], progress='none')"), 10),
        (GATHERED.format(call="get_ipython().run_line_magic('fastreq', base + '/1 --progress none')"), 10),
        (DUE_TOGETHER, 30),
    ],
    ids=["functions", "magics", "timers due together"],
)
def test_a_kernel_outlives_its_first_blocking_calls(kernel_python, root, server, code, calls):
    with Kernel(kernel_python, PYTHONPATH=str(root)) as fresh:
        fresh.run(f"base = {server.url!r}\n%load_ext fastreq_jupyter\nfrom fastreq_jupyter import fastreq").good()
        assert fresh.value(code) == calls
        assert len(server.arrivals) == calls
        assert fresh.value("print(len(fastreq([base + '/1'] * 3, progress='none', loop='kernel')))") == 3
        # The loop is patched by now: the calls wait within each other.
        assert fresh.value(code.replace("range(10)", "range(100)")) == max(calls, 100 if "range(10)" in code else 0)


def test_a_session_is_used_by_first_and_later_calls_and_by_cells(kernel_python, root, server):
    with Kernel(kernel_python, PYTHONPATH=str(root)) as fresh:
        fresh.run(f"base = {server.url!r}\n%load_ext fastreq_jupyter\nfrom fastreq_jupyter import FastRequests, fastreq").good()
        fresh.run("client = FastRequests(base)\nfastreq('/1', session=client, progress='none')").good()
        fresh.run("fastreq('/2', session=client, progress='none')").good()
        fresh.run("%%fastreq --session client --progress none\n{{base}}/3").good()
        fresh.run("await client.request('/4', progress='none')").good()
        assert dict(server.paths) == {"/1": 1, "/2": 1, "/3": 1, "/4": 1}


@pytest.mark.parametrize(
    "code",
    [
        "%%time\n%fastreq {{base}}/1 --progress none",
        "%%capture captured\n%fastreq {{base}}/1 --progress none",
        "get_ipython().run_cell_magic('fastreq', '--progress none', '{{base}}/1')",
        "fastreq(base + '/1', progress='none')",
        "await fastreq_async(base + '/1', progress='none')",
        "await submit(base + '/1')",
        "import threading\nt = threading.Thread(target=lambda: fastreq(base + '/1', progress='none'))\nt.start()\nt.join()",
        "fastreq(base + '/1', progress='none', loop='thread')",
        "def ask():\n    return fastreq(base + '/1', progress='none')\nawait __import__('asyncio').to_thread(ask)",
    ],
)
def test_every_way_in_works(kernel, server, code):
    kernel.run(code).good()
    assert server.paths["/1"] == 1


def test_a_blocking_call_in_a_cell_gives_its_frame(kernel):
    ran = kernel.run("fastreq([base + '/1', base + '/status/404'], progress='none').status.tolist()").good()
    assert ran.result == "[200, 404]"


@pytest.mark.parametrize(
    "code",
    [
        "%%fastreq orders --progress none -c 1\n{{base}}/1\n{{base}}/delay/3600",
        "%%time\nget_ipython().run_cell_magic('fastreq', 'orders --progress none -c 1', '{{base}}/1\\n{{base}}/delay/3600')",
        "%%fastreq orders --progress none -c 1 --loop thread\n{{base}}/1\n{{base}}/delay/3600",
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_ends_the_cell_and_keeps_the_finished_rows(kernel, server, code, times):
    kernel.run("orders = None").good()
    ran = interrupted(kernel, server, code, times=times)
    assert ran.error == "KeyboardInterrupt: 1 of 2 rows were finished; they are in orders"
    assert ran.outputs[-1]["traceback"] == [ran.error]
    assert kernel.value("import json; print(json.dumps(orders.error.fillna('').tolist()))") == ["", "cancelled"]
    kernel.run("%%fastreq again --progress none\n{{base}}/1").good()


@pytest.mark.parametrize(
    "code",
    [
        "fastreq([base + '/1', base + '/delay/3600'], progress='none', concurrency=1)",
        "fastreq([base + '/1', base + '/delay/3600'], progress='none', concurrency=1, loop='thread')",
        "await fastreq_async([base + '/1', base + '/delay/3600'], progress='none', concurrency=1)",
        "import asyncio\nawait asyncio.sleep(0)\nfastreq([base + '/1', base + '/delay/3600'], progress='none', concurrency=1)",
        "await submit([base + '/1', base + '/delay/3600'], concurrency=1)",
    ],
)
def test_an_interrupted_function_leaves_its_rows_in_last_run(kernel, server, code):
    ran = interrupted(kernel, server, code)
    assert ran.error == "KeyboardInterrupt: 1 of 2 rows were finished; they are in last_run().df"
    assert kernel.value("import json; print(json.dumps(last_run().df.error.fillna('').tolist()))") == ["", "cancelled"]
    kernel.run("fastreq(base + '/1', progress='none')").good()


def test_interrupted_tasks_of_a_cell_do_not_take_the_kernel_with_them(kernel, server):
    code = "import asyncio\nawait asyncio.gather(*[fastreq_async([base + '/1', base + '/delay/3600'], progress='none', concurrency=1) for _ in range(3)])"
    ran = interrupted(kernel, server, code, held=3)
    assert ran.error.startswith(("CancelledError", "KeyboardInterrupt"))
    kernel.run("%%fastreq again --progress none\n{{base}}/1").good()


def test_nothing_of_a_run_is_left_on_the_loop(kernel, server):
    interrupted(kernel, server, "%%fastreq orders --progress none -c 1\n{{base}}/[1-30]\n{{base}}/delay/3600")
    code = "import asyncio, json; print(json.dumps([repr(t) for t in asyncio.all_tasks() if 'engine' in repr(t)]))"
    assert kernel.value(code) == []


def test_a_background_run_goes_on_while_a_cell_blocks(kernel, server):
    ran = kernel.run("%%fastreq later --background --progress none -c 1\n{{base}}/delay/0.2?n=[1-5]").good()
    assert ran.text.startswith("later: 5 requests in the background")
    blocking = "import time\nwhile not later.done:\n    time.sleep(0.05)"
    kernel.run(blocking).good()
    assert kernel.run("(await later).status.tolist()").good().result == "[200, 200, 200, 200, 200]"


def test_a_run_in_the_background_never_prints_into_another_cell(kernel):
    kernel.run("%%fastreq later --background --progress none\n{{base}}/delay/0.5").good()
    assert kernel.run("import time\nwhile not later.done:\n    time.sleep(0.05)\ntime.sleep(0.2); print('mine')").text == "mine\n"


def test_reload_and_unload_in_mid_run_lose_nothing(kernel):
    kernel.run("%%fastreq later --background --progress none\n{{base}}/delay/1").good()
    kernel.run("%reload_ext fastreq_jupyter").good()
    kernel.run("%unload_ext fastreq_jupyter").good()
    assert kernel.run("(await later).status.tolist()").good().result == "[200]"
    assert "not found" in kernel.run("%fastreq {{base}}/1").warned
    kernel.run("%load_ext fastreq_jupyter").good()
    kernel.run("%%fastreq orders --progress none\n{{base}}/1").good()


def test_the_text_line_is_one_output_that_is_cleared_before_the_closing_line(kernel):
    ran = kernel.run("%%fastreq orders --progress text -c 2\n{{base}}/delay/0.5?n=[1-4]").good()
    assert ran.text.startswith("orders: 4 of 4 ok")
    assert [output["data"]["text/plain"] for output in ran.outputs] == [""]


@pytest.mark.parametrize("progress", ["auto", "text"])
def test_how_a_run_ended_is_told_where_updates_of_displays_are_not_shown(kernel, progress):
    message = kernel.start(f"%%fastreq bad -k --max-retries 0 --progress {progress}\n{{{{base}}}}/delay/0.5\n{{{{base}}}}/status/404")
    told = ""
    while True:
        heard = kernel.client.get_iopub_msg(timeout=60)
        if heard["parent_header"].get("msg_id") != message:
            continue
        content = heard["content"]
        told += content["text"] if heard["msg_type"] == "stream" else ""
        told += content["data"]["text/plain"] + "\n" if heard["msg_type"] == "display_data" else ""
        if heard["msg_type"] == "status" and content["execution_state"] == "idle":
            break
    assert "\nbad: 1 of 2 ok, http 404 x1, " in f"\n{told}"
    assert "not ended" not in told
    assert told.count("TLS certificates were not verified") == 1


def test_a_short_run_has_no_text_line_but_its_closing_line(kernel):
    ran = kernel.run("%%fastreq orders --progress text\n{{base}}/1").good()
    assert ran.text.startswith("orders: 1 of 1 ok")
    assert ran.outputs == []


def test_a_cell_shows_the_live_view_a_static_summary_and_one_line(kernel):
    ran = kernel.run("%%fastreq orders\n{{base}}/1").good()
    assert ran.warned == ""
    kinds = [set(output["data"]) for output in ran.outputs]
    assert "application/vnd.jupyter.widget-view+json" in kinds[0]
    assert kinds[1] == {"text/html", "text/plain"}
    assert ran.outputs[1]["data"]["text/plain"].startswith("orders: 1 of 1 ok")
    assert ran.text == ""


RETRY = """from ipywidgets import Widget
[monitor] = [widget for widget in Widget.widgets.values() if type(widget).__name__ == 'Monitor' and widget.run is last_run()]
monitor._hear(monitor, {'do': 'retry', 'id': 1}, [])
import base64, json, threading, time, zlib
kept = lambda: json.loads(zlib.decompress(base64.b64decode(monitor.snapshot)).partition(b'\\n')[0])
until = time.monotonic() + 20
while kept()['run'] != last_run().id and time.monotonic() < until:
    time.sleep(0.02)
for thread in threading.enumerate():
    if thread.name == 'fastreq-retried':
        thread.join()"""


def test_what_the_panel_sends_again_comes_into_the_cells_variable(kernel):
    kernel.run("%%fastreq orders --max-retries 0\n{{base}}/flaky/1\n{{base}}/2").good()
    assert kernel.value("import json; print(json.dumps(orders.ok.tolist()))") == [False, True]
    kernel.run(RETRY).good()
    assert kernel.value("print(json.dumps(orders.ok.tolist()))") == [True, True]
    assert kernel.value("print(json.dumps(kept()['closing'].endswith('; 1 row is from the run before, all are in orders')))") is True


@pytest.mark.parametrize("made", ["orders = orders.head(1)", "orders = orders.assign(mine=1)", "orders['mine'] = 1", "orders = 5"])
def test_what_the_user_made_of_a_frame_is_not_overwritten_by_a_retry(kernel, made):
    kernel.run("%%fastreq orders --max-retries 0\n{{base}}/flaky/1\n{{base}}/2").good()
    kernel.run(f"{made}\nmine = orders").good()
    kernel.run(RETRY).good()
    assert kernel.value("print(json.dumps(orders is mine))") is True
    assert kernel.value("print(json.dumps(kept()['closing'].endswith('all are in last_run().df')))") is True


def test_a_wrong_option_is_one_line(kernel, server):
    ran = kernel.run("%%fastreq -c 0\n{{base}}/1")
    assert ran.error == "OptionError: concurrency='0' is not possible: give a whole number from 1 to 1000, or \"auto\""
    # What papermill and nbclient show.
    assert [out["traceback"] for out in ran.outputs] == [[ran.error]]
    assert server.arrivals == []


def test_run_all_stops_at_a_cell_that_is_wrong(kernel):
    message = kernel.start("%%fastreq --nonsense\n{{base}}/1")
    kernel.finish(message)
    while (reply := kernel.client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != message:
        pass
    assert reply["content"]["status"] == "error"


BEATS = """
import asyncio, threading
def reading():
    return any(thread.name == "fastreq beside" for thread in threading.enumerate())
async def beat():
    while not reading():
        await asyncio.sleep(0)
    print("reading", flush=True)
    while reading():
        beats.append(1)
        await asyncio.sleep(0)
beats = []
beating = asyncio.get_running_loop().create_task(beat())
await asyncio.sleep(0)
"""


def test_the_loop_goes_on_while_a_big_cell_is_read(kernel):
    kernel.run(BEATS).good()
    cell = "%%fastreq plan --dry-run --limit 1\n" + "\n".join(f"GET {{{{base}}}}/{n}\nA: b" for n in range(20_000))
    kernel.run(cell).good()
    kernel.run("await beating").good()
    assert kernel.value("print(len(beats))") > 2


def test_an_interrupt_ends_the_reading_of_a_big_cell(kernel, server):
    kernel.run(BEATS).good()
    cell = "%%fastreq out\n" + "\n".join(f"GET {{{{base}}}}/{n}\nA: b" for n in range(200_000))
    message = kernel.start(cell)
    while kernel.client.get_iopub_msg(timeout=60)["content"].get("text") != "reading\n":
        pass
    kernel.interrupt()
    assert kernel.finish(message).error.startswith(("KeyboardInterrupt", "CancelledError"))
    assert server.arrivals == []


def test_the_form_is_shown_and_runs(kernel, server):
    ran = kernel.run("from fastreq_jupyter import Panel\nform = Panel('{{base}}/[1-3]', 'sent')\nform").good()
    shown = [output["data"] for output in ran.outputs if "data" in output]
    assert shown[0]["application/vnd.jupyter.widget-view+json"]["model_id"] in kernel.run("form.model_id").good().result
    kernel.run("form._buttons[0].click()\nfinished = await form.run").good()
    assert kernel.value("import json; print(json.dumps(sent.status.tolist()))") == [200] * 3
    assert len(server.arrivals) == 3
