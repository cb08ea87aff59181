"""The doors of Python code, against a server that counts."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import pytest

import fastreq_jupyter
from fastreq_jupyter import (
    BackendError,
    FastRequests,
    OptionError,
    PartialFailureError,
    Request,
    ReturnType,
    SourceError,
    UsageError,
    fastreq,
    fastreq_async,
    fastreq_stream,
    last_run,
    submit,
)
from fastreq_jupyter.options import TABLE, OptionArguments

FUNCTION_OPTIONS = {name for name, row in TABLE.items() if "function" in row.doors}


@pytest.fixture
def server(counting_server):
    return counting_server


def run_python(code, *arguments, timeout=240):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_call_returns_one_row_per_request_in_the_order_given(server):
    frame = fastreq([f"{server.url}/{n}" for n in (3, 1, 2)])
    assert isinstance(frame, pd.DataFrame)
    assert [data["path"] for data in frame["data"]] == ["/3", "/1", "/2"]


def test_threads_may_make_the_first_calls_of_a_process(server):
    """One of them is in the middle of importing pandas when the others come."""
    done = run_python(
        """
        import sys, threading
        from fastreq_jupyter import fastreq
        frames = []
        threads = [threading.Thread(target=lambda: frames.append(fastreq([sys.argv[1]] * 3))) for _ in range(4)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
        print([frame["ok"].tolist() for frame in frames] == [[True] * 3] * 4)
        """,
        server.url,
    )
    assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr
    assert "Error" not in done.stderr


def test_bad_rows_do_not_cost_good_ones(server):
    frame = fastreq([f"{server.url}/1", None, "ftp://h/", f"{server.url}/status/404", "http://"])
    assert frame["error"].fillna("").tolist() == ["", "invalid URL", "invalid URL", "http 404", "invalid URL"]


def test_no_urls_give_an_empty_frame():
    assert len(fastreq([])) == 0


def test_the_options_of_the_functions_are_those_of_the_table():
    assert set(OptionArguments.__annotations__) == FUNCTION_OPTIONS


@pytest.mark.parametrize("function", [fastreq, fastreq_async, fastreq_stream, submit, FastRequests.request])
def test_docstrings_name_every_option(function):
    assert not [name for name in FUNCTION_OPTIONS if f" {name}: " not in function.__doc__]


@pytest.mark.parametrize("function", [fastreq, fastreq_async, fastreq_stream, submit, FastRequests.request])
def test_the_options_are_a_section_of_their_own_in_docstrings(function):
    lines = inspect.getdoc(function).splitlines()
    assert {line for line in lines if line.endswith(":") and not line.startswith(" ")} >= {"Args:", "Options:"}


@pytest.mark.parametrize("function", [fastreq, fastreq_async, fastreq_stream, submit, FastRequests.request])
def test_signatures_offer_every_option_to_tab(function):
    assert set(inspect.signature(function).parameters) - {"self", "urls"} == FUNCTION_OPTIONS


def test_the_package_offers_its_names_and_not_its_rooms():
    offered = [name for name in dir(fastreq_jupyter) if not name.startswith("_")]
    assert {"fastreq", "demo", "InsecureWarning"} <= set(offered)
    assert not {"TYPE_CHECKING", "bridge", "import_module"} & set(offered)
    assert all(hasattr(fastreq_jupyter, name) for name in offered)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"verify": False}, "verify_ssl"),
        ({"conccurrency": 3}, "concurrency"),
        ({"each": "x"}, "each"),
        ({"background": True}, "background"),
        ({"session": 5}, "session"),
        ({"parse_func": fastreq_async}, "parse_func"),
        ({"select": "a[", "return_type": "dataframe"}, "select"),
        ({"select": "a", "return_type": "json"}, "select needs return_type dataframe"),
        ({"return_none_on_failure": True}, "return_none_on_failure needs return_type"),
        ({"method": None}, "method=None"),
        ({"cookies": {"a": "b;c"}}, "cookies: the value of a"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_and_nothing_is_sent(server, given, said):
    with pytest.raises(OptionError) as error:
        fastreq(server.url, **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert server.arrivals == []


def test_a_header_or_cookie_of_none_is_left_out(server):
    fastreq(server.url, headers={"X-A": None, "X-B": "1"}, cookies={"a": None, "b": "2"})
    names = {name.lower(): value for name, value in server.arrivals[0].headers.items()}
    assert "x-a" not in names
    assert (names["x-b"], names["cookie"]) == ("1", "b=2")


def test_keys_that_are_too_many_for_a_generator_say_so(server):
    with pytest.raises(SourceError, match=r"^keys has 2 labels, but 1 URLs came.*rows finished, in \.df: 1$") as error:
        fastreq((url for url in [f"{server.url}/a"]), keys=["a", "b"])
    assert error.value.df["ok"].tolist() == [True]


def test_an_error_that_carries_a_run_can_be_pickled(server):
    with pytest.raises(PartialFailureError) as caught:
        fastreq([f"{server.url}/a", f"{server.url}/status/404"], return_type="json", keys=["x", "y"])
    error = pickle.loads(pickle.dumps(caught.value))
    assert (str(error), error.total, error.successes) == (str(caught.value), 2, 1)
    assert error.failures["y"].error == "http 404"
    assert error.df["error"].fillna("").tolist() == ["", "http 404"]


def test_a_str_gives_one_result_and_a_list_a_list(server):
    assert fastreq(f"{server.url}/a", return_type="json")["path"] == "/a"
    assert [one["path"] for one in fastreq([f"{server.url}/b", f"{server.url}/c"], return_type=ReturnType.JSON)] == ["/b", "/c"]


def test_keys_give_a_dict_and_an_index(server):
    urls = [f"{server.url}/a", f"{server.url}/b"]
    assert list(fastreq(urls, keys=["x", "y"], return_type="text")) == ["x", "y"]
    assert list(fastreq(urls, keys=["x", "y"]).index) == ["x", "y"]


def test_a_series_keeps_its_index_and_its_name(server):
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"])
    frame = fastreq(pd.Series([f"{server.url}/a", f"{server.url}/b"], index=index))
    pd.testing.assert_index_equal(frame.index, index)


def test_a_series_gives_a_list(server):
    assert isinstance(fastreq(pd.Series([f"{server.url}/a"], index=["k"]), return_type="json"), list)


def test_a_response_is_fully_read(server):
    response = fastreq(f"{server.url}/a", return_type="response")
    assert response.status == 200
    assert response.json()["path"] == "/a"


def test_a_failure_in_a_list_raises_with_all_that_arrived(server):
    urls = [f"{server.url}/a", f"{server.url}/status/404?token=very-secret-value", f"{server.url}/b"]
    with pytest.raises(PartialFailureError) as caught:
        fastreq(urls, return_type="json")
    error = caught.value
    assert (error.total, error.successes) == (3, 2)
    assert list(error.failures) == [1]
    assert error.failures[1].status == 404
    assert {at: one["path"] for at, one in error.results.items()} == {0: "/a", 2: "/b"}
    assert error.get_failed_urls() == [f"{server.url}/status/404?token=***"]
    assert error.df["status"].tolist() == [200, 404, 200]
    assert "very-secret-value" not in str(error)


def test_failures_are_found_by_key(server):
    with pytest.raises(PartialFailureError) as caught:
        fastreq([f"{server.url}/a", f"{server.url}/status/404"], keys=["x", "y"], return_type="json")
    assert (list(caught.value.results), list(caught.value.failures)) == (["x"], ["y"])


def test_none_can_stand_for_a_failure(server):
    assert fastreq([f"{server.url}/a", f"{server.url}/status/404"], return_type="json", return_none_on_failure=True)[1] is None


def test_check_raises_with_the_frame(server):
    with pytest.raises(PartialFailureError) as caught:
        fastreq([f"{server.url}/a", f"{server.url}/status/404"], check=True)
    assert len(caught.value.df) == 2


def test_check_tolerates_its_share(server):
    assert len(fastreq([f"{server.url}/a", f"{server.url}/status/404"], check="50%")) == 2


def test_parse_func_gets_what_the_return_type_gives(server):
    assert fastreq([f"{server.url}/a"], return_type="text", parse_func=len)[0] > 10
    assert fastreq([f"{server.url}/a"], parse_func=lambda data: data["path"])["data"].tolist() == ["/a"]


def test_a_raising_parse_func_costs_its_row_only(server):
    frame = fastreq([f"{server.url}/a", f"{server.url}/b"], parse_func=lambda data: {"/a": 1}[data["path"]])
    assert frame["error"].fillna("").tolist() == ["", "parse_func"]
    assert frame["ok"].tolist() == [True, False]
    assert "KeyError" in frame["error_detail"][1]
    assert frame["data"][1]["path"] == "/b"


def test_the_summary_counts_what_parse_func_could_not_read(server):
    frame = fastreq([f"{server.url}/a", f"{server.url}/b"], parse_func=lambda data: {"/a": 1}[data["path"]])
    summary = frame.attrs["fastreq"]["summary"]
    assert (summary["ok"], summary["failed"], summary["errors"]) == (1, 1, {"parse_func": 1})


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_parse_func_runs_once_on_the_thread_that_waits(server, loop):
    threads = []
    fastreq([f"{server.url}/{n}" for n in range(3)], loop=loop, parse_func=lambda data: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()] * 3


def test_a_source_that_raises_ends_with_its_rows(server):
    def urls():
        yield f"{server.url}/a"
        yield f"{server.url}/b"
        raise LookupError("no more")

    with pytest.raises(SourceError) as caught:
        fastreq(urls())
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.df["status"].tolist() == [200, 200]


def test_a_lazy_source_of_many_is_limited(server):
    drawn = []

    def urls():
        for number in range(10**6):
            drawn.append(number)
            yield f"{server.url}/{number}"

    assert len(fastreq(urls(), limit=30)) == 30
    assert len(drawn) <= 31


def test_dry_run_sends_nothing_and_shows_no_secret(server):
    frame = fastreq(
        [f"{server.url}/a?api_key=very-secret-value"] * 2, auth="another-secret", rate_limit=1, rate_limit_burst=1, dry_run=True
    )
    assert server.arrivals == []
    assert "secret" not in frame.to_string().replace("***", "")
    summary = frame.attrs["fastreq"]["summary"]
    assert (summary["requests"], summary["hosts"], summary["least_s"]) == (2, {server.url: 2}, 1.0)


def test_dry_run_tells_what_cannot_be_sent_as_the_run_does(server):
    urls = [server.url, "localhost:8000/x", "htp://user:very-secret-value@x", "http://[::1", "http://h:99999/", None, 3]
    plan = fastreq(urls, dry_run=True)
    rows = fastreq(urls, max_retries=0)
    assert list(plan.problem[1:]) == [f"{error}: {detail}" for error, detail in zip(rows.error[1:], rows.error_detail[1:], strict=True)]
    assert plan.problem.isna()[0]
    assert plan.attrs["fastreq"]["summary"]["problems"] == 6
    assert "very-secret" not in plan.to_string()


def test_auth_and_cookies_arrive(server):
    fastreq(f"{server.url}/a", auth=("user", "password"), cookies={"k": "v"})
    headers = server.arrivals[0].headers
    assert headers["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    assert headers["cookie"] == "k=v"


def test_a_user_agent_can_be_left_out(server):
    fastreq(f"{server.url}/a", headers={"User-Agent": None, "X-Bytes": b"a"})
    headers = server.arrivals[0].headers
    assert "user-agent" not in headers
    assert headers["x-bytes"] == "a"


def test_a_cookie_in_unicode_is_encoded_once(server):
    fastreq(f"{server.url}/a", cookies={"c": "\u00e9"})
    assert server.arrivals[0].headers["cookie"].encode("latin-1") == b"c=\xc3\xa9"


def test_calls_run_from_threads_at_once(server):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(fastreq(f"{server.url}/{n}", return_type="json")["path"])) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["/0", "/1", "/2", "/3"]


async def test_a_coroutine_waits_on_its_own_loop(server):
    async def urls():
        for n in range(3):
            yield f"{server.url}/{n}"

    one, frame = await asyncio.gather(fastreq_async(f"{server.url}/x", return_type="json"), fastreq_async(urls()))
    assert one["path"] == "/x"
    assert frame["status"].tolist() == [200] * 3


async def test_a_cancelled_coroutine_leaves_its_rows_in_last_run(server):
    task = asyncio.create_task(fastreq_async([f"{server.url}/a", f"{server.url}/delay/3600"]))
    before = last_run()
    while last_run() is before or last_run().progress.done < 1:  # noqa: ASYNC110 - a run tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert last_run().df["error"].fillna("").tolist() == ["", "cancelled"]


def test_an_interrupted_call_ends_as_interrupted_and_says_where_the_rows_are(server):
    before = last_run()

    def interrupt():
        while last_run() is before or last_run().progress.done < 1:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        fastreq([f"{server.url}/a", f"{server.url}/delay/3600"], timeout=3600)
    thread.join()
    assert str(caught.value) == "1 of 2 rows were finished; they are in last_run().df"
    assert last_run().df["status"].fillna(0).tolist() == [200, 0]
    assert fastreq(f"{server.url}/again")["ok"].all()


def test_submit_returns_at_once_and_goes_on(server):
    run = submit([f"{server.url}/delay/0.3"] * 2)
    assert not run.done
    assert run.wait(10)
    assert run.df["status"].tolist() == [200, 200]


async def test_awaiting_a_run_gives_what_the_call_gives(server):
    assert [one["path"] for one in (await submit([f"{server.url}/a"], return_type="json"))] == ["/a"]


def test_retry_failed_sends_only_what_failed(server):
    run = submit([f"{server.url}/a", f"{server.url}/flaky/1/x"], max_retries=0)
    assert run.wait(10)
    again = run.retry_failed()
    assert again.wait(10)
    assert again.df["status"].tolist() == [200, 200]
    assert (server.paths["/a"], server.paths["/flaky/1/x"]) == (1, 2)


def test_retry_failed_works_after_a_blocking_call_too(server):
    fastreq([f"{server.url}/a", f"{server.url}/flaky/1/x"], max_retries=0)
    again = last_run().retry_failed()
    assert again.wait(10)
    assert again.df["ok"].all()


def test_retry_failed_parses_good_rows_once(server):
    seen = []
    run = submit([f"{server.url}/a", f"{server.url}/flaky/1/x"], max_retries=0, parse_func=lambda data: seen.append(data) or len(seen))
    assert run.wait(10)
    assert run.df["data"].tolist()[0] == 1
    again = run.retry_failed()
    assert again.wait(10)
    assert again.df["data"].tolist() == [1, 2]


async def test_a_stream_gives_outcomes_as_they_complete(server):
    urls = [f"{server.url}/delay/0.5", f"{server.url}/a", f"{server.url}/status/404", None]
    stream = fastreq_stream(urls, max_retries=0)
    found = [(outcome.position, outcome.error, len(await outcome.read()) > 0) async for outcome in stream]
    assert sorted(found) == [(0, None, True), (1, None, True), (2, "http 404", False), (3, "invalid URL", False)]
    assert found[-1][0] == 0


async def test_a_stream_gives_a_body_in_pieces(server):
    async def main():
        async for outcome in fastreq_stream(f"{server.url}/a"):
            return b"".join([piece async for piece in outcome.aiter_bytes()])
        return None

    assert b"/a" in await main()


def test_an_asynchronous_source_cannot_leave_its_loop(server):
    async def urls():
        yield f"{server.url}/a"

    with pytest.raises(UsageError, match="asynchronous source"):
        fastreq(urls(), loop="thread")
    with pytest.raises(UsageError, match="no event loop"):
        submit(urls())


async def test_a_stream_holds_its_slot_until_the_body_is_read(server):
    order = []
    async for outcome in fastreq_stream([f"{server.url}/{n}" for n in range(3)], concurrency=1):
        await asyncio.sleep(0.2)
        order.append((outcome.position, len(server.arrivals)))
        await outcome.aclose()
    assert order == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("urls", [list, iter])
async def test_a_stream_whose_bodies_nobody_reads_comes_to_its_end(server, urls):
    stream = fastreq_stream(urls([f"{server.url}/{n}" for n in range(12)]), concurrency=3)
    assert [outcome.status async for outcome in stream] == [200] * 12


async def test_the_last_outcome_of_a_stream_can_be_read_behind_its_loop(server):
    async for outcome in fastreq_stream(f"{server.url}/a"):
        last = outcome
    assert b"/a" in (await last.read())


@pytest.mark.slow
async def test_bodies_of_a_stream_can_be_read_by_tasks_that_begin_late(server):
    async def late(outcome):
        await asyncio.sleep(0.6)
        return len(await outcome.read())

    async with asyncio.TaskGroup() as group:
        stream = fastreq_stream([f"{server.url}/{n}" for n in range(6)], concurrency=2)
        tasks = [group.create_task(late(outcome)) async for outcome in stream]
    assert [task.result() > 0 for task in tasks] == [True] * 6


@pytest.mark.slow
async def test_outcomes_that_are_kept_unread_time_out_instead_of_blocking_for_ever(server):
    kept = [outcome async for outcome in fastreq_stream([f"{server.url}/{n}" for n in range(3)], concurrency=1, timeout=2)]
    with pytest.raises(BackendError, match="nobody began to read"):
        await kept[0].read()
    assert b"/2" in (await kept[2].read())


async def test_a_body_read_after_its_stream_was_left_is_never_taken_for_an_empty_one(server):
    stream = fastreq_stream(f"{server.url}/a")
    outcome = await anext(stream)
    await stream.aclose()
    with pytest.raises(BackendError, match="the stream was left"):
        await outcome.read()


async def test_leaving_a_stream_cancels_the_rest(server):
    stream = fastreq_stream([f"{server.url}/a", *[f"{server.url}/delay/3600"] * 3], timeout=3600)
    async for outcome in stream:
        await outcome.read()
        break
    await stream.aclose()


async def test_options_that_shape_results_are_refused_by_a_stream(server):
    async def main():
        async for _ in fastreq_stream(server.url, return_type="json"):
            pass

    with pytest.raises(OptionError, match="return_type"):
        await main()


async def test_a_session_keeps_cookies_headers_and_defaults(server):
    async def main():
        async with FastRequests(server.url, headers={"X-Api-Key": "key-of-mine"}, cookies={"k": "v"}, return_type="json") as client:
            first = await client.request("one")
            client.set_cookies({"l": "w"})
            await client.request([Request("POST", "/two", json={})])
            client.reset_cookies()
            await client.request("three")
            return first

    assert (await main())["path"] == "/one"
    assert [arrival.headers.get("x-api-key") for arrival in server.arrivals] == ["key-of-mine"] * 3
    assert [arrival.headers.get("cookie") for arrival in server.arrivals] == ["k=v", "k=v; l=w", None]


async def test_a_session_gives_its_secrets_to_its_origin_alone(server):
    async with FastRequests("http://elsewhere.invalid", headers={"X-Api-Key": "key"}, auth="token", cookies={"k": "v"}) as client:
        await client.request(f"{server.url}/a")
    assert not {"x-api-key", "authorization", "cookie"} & set(server.arrivals[0].headers)


def test_a_session_on_another_loop_raises_at_once(server):
    client = FastRequests(server.url)
    # Not asyncio.run: nest-asyncio puts another one in its place, which goes on with the loop of the call before.
    with asyncio.Runner() as runner:
        runner.run(client.request("/a"))
    with asyncio.Runner() as another, pytest.raises(UsageError, match="another event loop"):
        another.run(client.request("/b"))
    with pytest.raises(UsageError, match="another event loop"):
        fastreq("/b", session=client)
    assert server.paths["/b"] == 0


async def test_a_closed_session_raises(server):
    async def main():
        async with FastRequests(server.url) as client:
            pass
        await client.request("/a")

    with pytest.raises(UsageError, match="closed"):
        await main()


def test_a_session_serves_blocking_calls(server):
    client = FastRequests(server.url, return_type="json")
    assert fastreq("/a", session=client)["path"] == "/a"


@pytest.mark.parametrize(
    "given", [{"auth": "token"}, {"headers": {"Authorization": "x"}}, {"cookies": {"a": "b"}}, {"base_url": "h/x"}, {"keys": [1]}]
)
def test_a_session_refuses_what_has_no_origin(given):
    with pytest.raises(OptionError) as caught:
        FastRequests(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_blocking_call_inside_a_running_loop_works():
    done = run_python(
        """
        import asyncio
        from fastreq_jupyter import demo, fastreq
        with demo.start() as server:
            async def main():
                # The turn in which the loop is patched waits beside it, later ones within it.
                assert fastreq([server.url + "/customers/1"] * 3)["ok"].all()
                await asyncio.sleep(0)
                task = asyncio.create_task(asyncio.sleep(0))
                frame = fastreq([server.url + "/customers/1"] * 3)
                assert task.done()
                return frame
            assert asyncio.run(main())["ok"].all()
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_script_leaves_nothing_behind():
    done = run_python(
        """
        import asyncio
        from fastreq_jupyter import demo, fastreq, fastreq_async, submit
        server = demo.start()
        url = server.url + "/customers/1"
        assert fastreq([url] * 3)["ok"].all()
        assert asyncio.run(fastreq_async(url))["ok"].all()
        assert submit(url).wait(10)
        submit([server.url + "/slow/30"] * 2)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_public_names_can_all_be_imported():
    assert set(fastreq_jupyter.__all__) <= set(dir(fastreq_jupyter))
    assert all(getattr(fastreq_jupyter, name) is not None for name in fastreq_jupyter.__all__)


def test_importing_the_doors_brings_in_no_library():
    done = run_python(
        """
        import sys
        from fastreq_jupyter import FastRequests, PartialFailureError, Request, fastreq, fastreq_async, fastreq_stream, last_run, submit
        heavy = ("IPython", "pandas", "niquests", "aiohttp", "requests", "ipywidgets", "nest_asyncio2", "sqlite3")
        assert not [name for name in heavy if name in sys.modules], [name for name in heavy if name in sys.modules]
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["niquests", "aiohttp", "requests"])
def test_a_forked_child_sends_like_its_parent(server, backend):
    done = run_python(
        """
        import os, sys
        from fastreq_jupyter import fastreq
        given = dict(backend=sys.argv[2], timeout=10, max_retries=0, progress="none")
        assert fastreq(sys.argv[1], **given)["ok"].tolist() == [True]
        child = os.fork()
        if child == 0:
            os._exit(0 if fastreq(sys.argv[1], **given)["ok"].tolist() == [True] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert fastreq(sys.argv[1], **given)["ok"].tolist() == [True]
        """,
        server.url,
        backend,
    )
    assert done.returncode == 0, done.stderr
