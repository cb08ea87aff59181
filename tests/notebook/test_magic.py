"""The magics in an IPython shell of this process."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time

import pytest
from IPython.core.completer import provisionalcompleter

from fastreq_jupyter import FastRequests, PartialFailureError, last_run
from fastreq_jupyter.notebook.complete import suggestions
from fastreq_jupyter.notebook.magic import GREETING, kernel_warning, rewrite_calls
from fastreq_jupyter.options import TABLE


@pytest.fixture
def server(counting_server):
    return counting_server


@pytest.fixture
def shell(ipython, server):
    ipython.user_ns["base"] = server.url
    return ipython


@pytest.fixture
def run(shell, capsys):
    """Run a cell; return its result and what was printed."""

    def run_cell(text):
        capsys.readouterr()
        done = shell.run_cell(text)
        printed = capsys.readouterr()
        return done, printed.out + printed.err

    return run_cell


def test_loading_prints_one_line_that_names_help_and_examples(shell, run):
    shell.run_line_magic("unload_ext", "fastreq_jupyter")
    _, printed = run("%load_ext fastreq_jupyter")
    assert printed == GREETING + "\n"
    assert "%fastreq --help" in printed
    assert "%fastreq --examples" in printed


@pytest.mark.parametrize(("version", "warned"), [((7, 0, 1), True), ((6, 16, 0), True), ((6, 17, 1), False), ((7, 4, 0), False)])
def test_a_kernel_that_cannot_show_panels_is_named(version, warned):
    warning = kernel_warning(version)
    assert (warning is not None) == warned
    assert not warned or "\n" not in warning


def test_equal_requests_are_mentioned_below_the_closing_line(run):
    _, printed = run("%%fastreq orders\n{{base}}/1\n{{base}}/1")
    assert "dedup" in printed.splitlines()[1]


def test_a_cell_assigns_its_frame_and_ends_with_one_line(shell, run):
    done, printed = run("%%fastreq orders\n{{base}}/1\n{{base}}/status/404\n")
    assert done.result is None
    assert shell.user_ns["orders"]["status"].tolist() == [200, 404]
    assert printed.startswith("orders: 1 of 2 ok, http 404 x1, ")
    assert printed.count("\n") == 1


def test_a_cell_without_a_name_gives_its_frame_as_result(run):
    done, _ = run("%%fastreq\n{{base}}/1\n")
    assert done.result["status"].tolist() == [200]


def test_a_line_gives_its_frame_as_result(run, server):
    done, _ = run(f"%fastreq {server.url}/1 --timings")
    assert "dns_ms" in done.result.columns


def test_a_semicolon_hides_the_result(run, server):
    done, printed = run(f"%fastreq {server.url}/1;")
    assert done.result is None
    assert "1 of 1 ok" in printed
    assert server.arrivals[0].path == "/1"


def test_a_line_can_be_assigned(shell, run, server):
    run(f"frame = %fastreq {server.url}/1")
    assert shell.user_ns["frame"]["status"].tolist() == [200]


@pytest.mark.parametrize(
    "cell",
    [
        "%%time\n%fastreq {url}/1",
        "%%capture out\n%fastreq {url}/1",
        "get_ipython().run_cell_magic('fastreq', '', '{url}/1')",
        "get_ipython().run_line_magic('fastreq', '{url}/1')",
        "def ask():\n    return get_ipython().run_line_magic('fastreq', '{url}/1')\nask()",
        "for _ in range(1):\n    %fastreq {url}/1",
        "\n\n%%fastreq\n{url}/1",
    ],
)
def test_every_other_way_in_works_too(run, server, cell):
    done, _ = run(cell.replace("{url}", server.url))
    assert done.success, done.error_in_exec
    assert server.paths["/1"] == 1


def test_without_autoawait_it_works_too(shell, run, server):
    run("%autoawait False")
    done, _ = run(f"%fastreq {server.url}/1")
    assert done.success, done.error_before_exec
    assert server.paths["/1"] == 1


def test_a_cell_is_awaited_at_the_top_level_only(shell):
    assert shell.transform_cell("%%fastreq x\nhttp://h/\n").startswith("(await get_ipython()")
    assert "await" not in shell.transform_cell("%%time\n%fastreq http://h/\n")
    shell.autoawait = False
    assert "await" not in shell.transform_cell("%%fastreq x\nhttp://h/\n")


@pytest.mark.parametrize(
    ("code", "awaits"),
    [
        ("get_ipython().run_line_magic('fastreq', 'u')", 1),
        ("x = 'äö'; y = get_ipython().run_line_magic('fastreq', 'ü')", 1),
        ("if True:\n    get_ipython().run_line_magic('fastreq', 'a')\n    get_ipython().run_line_magic('fastreq', 'b')", 2),
        ("def f():\n    get_ipython().run_line_magic('fastreq', 'u')", 0),
        ("[get_ipython().run_line_magic('fastreq', 'u') for _ in x]", 0),
        ("\"get_ipython().run_line_magic('fastreq', 'u')\"", 0),
        ("get_ipython().run_line_magic('time', 'fastreq')", 0),
        ("get_ipython().run_line_magic('fastreq', 'u') ((", 0),
    ],
)
def test_only_calls_at_module_level_are_rewritten(code, awaits):
    rewritten = rewrite_calls(code)
    assert rewritten.count("await ") == awaits
    if not awaits:
        assert rewritten == code


@pytest.mark.slow
def test_the_history_keeps_what_was_typed(shell):
    cell = "%%fastreq x\nhttp://h/\n"
    assert shell.transform_cell(cell) != cell
    assert shell.run_cell("%%fastreq --help\n", store_history=True).info.raw_cell == "%%fastreq --help\n"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%fastreq -c 0\n{{base}}/1", "concurrency='0' is not possible"),
        ("%%fastreq --conccurrency 3\n{{base}}/1", "--concurrency"),
        ("%%fastreq --backend nothing\n{{base}}/1", "backend"),
        ("%%fastreq orders\n", "no request in the cell"),
        ("%%fastreq orders\n{{base}}/1\n{{nothing}}/2", "line 3"),
        ("%%fastreq --auth nothing\n{{base}}/1", "no variable of that name"),
        ("%%fastreq --session base\n{{base}}/1", "FastRequests"),
        ("%%fastreq --each nothing\n{{base}}/{{item}}", "NameError"),
        ("%%fastreq --each 7\n{{base}}/{{item}}", "--each"),
        ("%%fastreq --select a[\n{{base}}/1", "select"),
        ("%fastreq nothing", "no request line"),
        ("%%fastreq a\n{{base}}/1\n%%fastreq b\n{{base}}/2", "begins a cell of its own"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_sent(run, server, cell, said):
    done, printed = run(cell)
    assert not done.success
    assert said in printed
    assert printed.startswith(("OptionError: ", "CellSyntaxError: "))
    assert printed.count("\n") == 1
    assert server.arrivals == []
    assert pickle.loads(pickle.dumps(done.error_in_exec)).args == done.error_in_exec.args


def test_check_assigns_and_then_ends_in_one_line(shell, run):
    done, printed = run("%%fastreq orders --check\n{{base}}/1\n{{base}}/status/404")
    assert isinstance(done.error_in_exec, PartialFailureError)
    assert len(shell.user_ns["orders"]) == 2
    assert printed.splitlines()[-1].startswith("PartialFailureError: 1 of 2 requests failed")
    assert "Traceback" not in printed


def test_lists_can_be_had_too(shell, run):
    run("%%fastreq orders --as json\n{{base}}/1")
    assert [one["path"] for one in shell.user_ns["orders"]] == ["/1"]


def test_each_takes_a_name_or_an_expression_evaluated_once(shell, run, server):
    calls = []
    shell.user_ns["numbers"] = lambda: calls.append(1) or [4, 5]
    run('%%fastreq orders --each "numbers()"\n{{base}}/{{item}}')
    assert [arrival.path for arrival in server.arrivals] == ["/4", "/5"] or sorted(server.paths) == ["/4", "/5"]
    assert shell.user_ns["orders"]["item"].tolist() == [4, 5]
    assert calls == [1]


def test_variables_of_a_function_are_seen(run, server):
    run("def ask(path):\n    return get_ipython().run_line_magic('fastreq', '{{base}}/{{path}}')\nask('inner')")
    assert server.paths["/inner"] == 1


def test_auth_is_the_name_of_a_variable(shell, run, server):
    shell.user_ns["mine"] = ("user", "password")
    run("%%fastreq --auth mine\n{{base}}/1")
    assert server.arrivals[0].headers["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="


def test_a_journal_sends_only_what_is_missing(run, server, tmp_path):
    run(f"%%fastreq orders --journal {tmp_path}/runs.db\n{{{{base}}}}/1")
    _, printed = run(f"%%fastreq orders --journal {tmp_path}/runs.db\n{{{{base}}}}/1\n{{{{base}}}}/2")
    assert sorted(server.paths.items()) == [("/1", 1), ("/2", 1)]
    assert "1 of 2 from runs.db" in printed


def test_a_file_that_is_no_journal_is_refused_in_one_line(run, server, tmp_path):
    (tmp_path / "mine.txt").write_text("mine " * 1000)
    done, printed = run(f"%%fastreq orders --journal {tmp_path}/mine.txt\n{{{{base}}}}/1")
    assert not done.success
    assert printed.startswith("JournalError: ")
    assert printed.count("\n") == 1
    assert server.arrivals == []


def test_a_session_gives_its_base_url_headers_and_cookies(shell, run, server):
    shell.user_ns["api"] = FastRequests(f"{server.url}/v1", headers={"X-Api-Key": "key-of-mine"}, cookies={"k": "v"})
    _, printed = run("%%fastreq --session api\nGET /users\n")
    assert server.arrivals[0].path == "/v1/users", printed
    assert server.arrivals[0].headers["x-api-key"] == "key-of-mine"
    assert server.arrivals[0].headers["cookie"] == "k=v"


def test_a_dry_run_shows_sends_nothing_and_leaves_the_variable(shell, run, server):
    shell.user_ns["plan"] = "answers"
    done, printed = run("%%fastreq plan --dry-run --rate-limit 2 --burst 1\n{{base}}/[1-5]")
    assert server.arrivals == []
    assert printed.splitlines()[0] == f"plan: 5 requests to 1 host ({server.url}), at least 2.0 s; nothing was sent"
    assert (len(done.result), shell.user_ns["plan"]) == (5, "answers")


def test_the_line_of_a_dry_run_counts_what_cannot_be_sent(shell, run):
    shell.user_ns["ids"] = [1, float("nan")]
    _, printed = run("%%fastreq --dry-run --each id=ids\n{{base}}/{{id}}")
    assert ", 1 with a problem; nothing was sent" in printed.splitlines()[0]


def test_comments_may_stand_above_the_magic(run, server):
    done, _ = run("# what for\n\n# and why\n%%fastreq orders\n{{base}}/1")
    assert (done.success, server.paths["/1"]) == (True, 1)
    assert run("# a comment\nx = 1\n")[0].success
    assert "line 4" in run("# a comment\n%%fastreq orders\n{{base}}/1\n{{nothing}}/2")[1]


def test_a_background_cell_run_again_says_what_becomes_of_the_first_run(shell, run):
    cell = "%%fastreq orders --background\n{{base}}/delay/3600"
    run(cell)
    first = shell.user_ns["orders"]
    _, printed = run(cell)
    assert "orders: the run before goes on, 0 of 1 done; orders.before.cancel() stops it" in printed
    shell.user_ns["orders"].before.cancel()
    shell.user_ns["orders"].cancel()
    assert first.wait(10)


def test_a_run_in_the_background_is_in_its_variable_at_once(shell, run):
    _, printed = run("%%fastreq later --background\n{{base}}/delay/0.3")
    later = shell.user_ns["later"]
    assert not later.done
    assert printed.startswith("later: 1 request in the background")
    done, _ = run("(await later)['status'].tolist()")
    assert done.result == [200]


def test_config_sets_defaults_for_cells_functions_and_the_accessor(shell, run, server):
    run("%config Fastreq.max_retries = 0")
    run("%%fastreq\n{{base}}/flaky/1/x")
    assert server.paths["/flaky/1/x"] == 1
    assert last_run().options.max_retries == 0
    run("%%fastreq --retries 2\n{{base}}/1")
    assert last_run().options.max_retries == 2
    for call in (
        "fastreq(base)",
        "await fastreq_async(base)",
        "await submit(base)",
        "pd.DataFrame({'id': [1]}).fastreq.get(base + '/{{ id }}')",
        "fastreq(base, session=FastRequests())",
    ):
        done, _ = run(f"import pandas as pd\nfrom fastreq_jupyter import FastRequests, fastreq, fastreq_async, submit\n{call}")
        assert done.success
        assert last_run().options.max_retries == 0, call
    run("fastreq(base, max_retries=1)")
    assert last_run().options.max_retries == 1
    run("fastreq(base, session=FastRequests(max_retries=3))")
    assert last_run().options.max_retries == 3
    run("%unload_ext fastreq_jupyter\nfastreq(base)")
    assert last_run().options.max_retries == 3
    run("%load_ext fastreq_jupyter")


def test_a_dry_run_by_config_is_never_sent(shell, run, server):
    run("from fastreq_jupyter import fastreq, submit\n%config Fastreq.dry_run = True")
    assert run("fastreq(base)")[0].result["url"].tolist() == [server.url]
    assert not run("submit(base)")[0].success
    assert server.arrivals == []


def test_lists_become_rows_in_a_cell_and_what_cannot_is_raised_after_assigning(shell, run, server, demo_server):
    cell = "%%fastreq orders --select items --expand --explode lines\n{demo}orders?per_page=2"
    run(cell.format(demo=demo_server.url.rstrip("/") + "/"))
    assert shell.user_ns["orders"]["lines.sku"].notna().all()
    done, _ = run("%%fastreq wrong --expand --explode number --explode nothing\n{{base}}/1")
    assert "explode='nothing': no such column" in str(done.error_in_exec)
    assert shell.user_ns["wrong"].status.tolist() == [200]
    done, _ = run("%%fastreq wrong --explode number\n{{base}}/1")
    assert "explode needs expand" in str(done.error_in_exec or done.error_before_exec)


def test_a_burst_that_is_given_holds_in_a_cell_and_in_a_function(shell, run, server):
    run("%%fastreq -r 60/min --burst 30 --deadline 2s\n{{base}}/[1-40]")
    assert 30 <= len(server.arrivals) <= 32
    server.reset()
    run(
        "from fastreq_jupyter import fastreq\nfastreq([f'{base}/{n}' for n in range(40)], rate_limit='60/min', rate_limit_burst=30, deadline=2)"
    )
    assert 30 <= len(server.arrivals) <= 32


def test_config_refuses_a_wrong_value_and_goes_on(shell, run, caplog):
    run("%config Fastreq.concurrency = 0")
    assert "concurrency=0 is not possible: give a whole number from 1 to 1000" in caplog.text
    run("%config Fastreq.timeout = '90s'")
    assert shell.run_line_magic("config", "Fastreq.timeout") == 90.0
    done, _ = run("%reload_ext fastreq_jupyter")
    assert done.success


def test_config_knows_every_option_of_the_magics(shell):
    magics = shell.magics_manager.registry["Fastreq"]
    assert {name for name, row in TABLE.items() if "magic" in row.doors} <= set(magics.traits(config=True))


def test_help_and_examples_are_printed(run):
    assert "--rate-limit" in run("%fastreq --help")[1]
    assert "%%fastreq" in run("%fastreq --examples")[1]
    assert "--rate-limit" in run("%%fastreq --help\n")[1]


def test_the_question_mark_shows_all_options(shell):
    found = shell.object_inspect("%%fastreq")
    assert "--rate-limit" in found["docstring"]


def test_unloading_leaves_nothing(shell, run):
    before = len(shell.input_transformers_post)
    run("%unload_ext fastreq_jupyter")
    assert len(shell.input_transformers_post) == before - 1
    assert "Fastreq" not in [type(one).__name__ for one in shell.configurables]
    assert shell.find_line_magic("fastreq") is None
    assert shell.find_cell_magic("fastreq") is None
    assert not run("%fastreq http://h/")[0].success


def test_reloading_keeps_one_of_everything(shell, run):
    before = len(shell.input_transformers_post), len(shell.configurables), len(shell.Completer.custom_matchers)
    run("%reload_ext fastreq_jupyter")
    assert (len(shell.input_transformers_post), len(shell.configurables), len(shell.Completer.custom_matchers)) == before
    assert run("%%fastreq\n{{base}}/1")[0].success


def test_reloading_in_mid_run_loses_nothing(shell, run):
    run("%%fastreq later --background\n{{base}}/delay/0.5")
    run("%reload_ext fastreq_jupyter")
    done, _ = run("(await later)['status'].tolist()")
    assert done.result == [200]


def when_one_is_done(act):
    """Act as soon as the next run has a finished row."""
    before = last_run()

    def watch():
        while last_run() is before or last_run().progress.done < 1:
            time.sleep(0.02)
        act()

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        "%%fastreq orders\n{{base}}/1\n{{base}}/delay/3600",
        "%%time\nget_ipython().run_cell_magic('fastreq', 'orders', '{{base}}/1\\n{{base}}/delay/3600')",
    ],
)
def test_an_interrupt_keeps_the_finished_rows_and_ends_as_interrupted(shell, run, cell):
    when_one_is_done(lambda: os.kill(os.getpid(), signal.SIGINT))
    done, printed = run(cell)
    assert isinstance(done.error_in_exec, KeyboardInterrupt)
    assert "KeyboardInterrupt: 1 of 2 rows were finished; they are in orders" in printed
    assert shell.user_ns["orders"]["error"].fillna("").tolist() == ["", "cancelled"]
    assert run("%%fastreq again\n{{base}}/1")[0].success


def test_a_cancelled_run_ends_its_cell_normally_and_says_so(shell, run):
    when_one_is_done(lambda: last_run().cancel())
    done, printed = run("%%fastreq orders\n{{base}}/1\n{{base}}/delay/3600")
    assert done.success
    assert "1 of 2 ok, cancelled: 1 cut off" in printed
    assert len(shell.user_ns["orders"]) == 2


def completions(text, **variables):
    lines = text.split("\n")
    found = suggestions(text, len(lines) - 1, len(lines[-1]), variables)
    return None if found is None else found[1]


def test_flags_are_completed():
    assert "--concurrency" in completions("%%fastreq orders --conc")
    assert "--concurrency-per-host" in completions("%fastreq http://h/ --conc")


def test_values_are_completed():
    assert completions("%%fastreq --backend n") == ["niquests"]
    assert completions("%%fastreq --as j") == ["json"]


def test_variables_are_completed_after_each():
    assert completions("%%fastreq --each or", orders=1, other=2, _hidden=3) == ["orders"]


def test_placeholders_are_completed_with_columns_and_variables():
    pandas = pytest.importorskip("pandas")
    orders = pandas.DataFrame({"sku": [1], "order date": [2]})
    assert "sku" in completions("%%fastreq --each orders\nhttps://h/{{ s", orders=orders)
    assert completions("%%fastreq --each orders\nhttps://h/{{ row.s", orders=orders) == ["row.sku"]
    assert "$env " in completions("%%fastreq\nhttps://h/{{$e", orders=orders)


def test_other_cells_are_left_alone():
    assert completions("x = fastreq") is None
    assert completions("print('{{ s") is None


def test_the_shell_asks_for_our_completions(shell):
    text = "%%fastreq orders --conc"
    with provisionalcompleter():
        found = [completion.text for completion in shell.Completer.completions(text, len(text))]
    assert any("concurrency" in one for one in found)


@pytest.mark.parametrize(
    "call",
    [
        "fastreq(base, concurrency=0)",
        "runner.run(fastreq_async(base, concurrency=0))",
        "fastreq(base + '/status/404', return_type='json')",
    ],
)
@pytest.mark.parametrize("mode", ["Context", "Verbose", "Plain"])
def test_an_error_of_a_function_shows_the_frames_of_the_users_code_alone(run, call, mode):
    # Not asyncio.run: nest-asyncio puts another one in its place, whose frames are shown.
    run(f"%xmode {mode}\nimport asyncio\nfrom fastreq_jupyter import fastreq, fastreq_async\nrunner = asyncio.Runner()")
    done, printed = run(f"def mine():\n    return {call}\nmine() # here")
    run("runner.close()")
    assert done.error_in_exec is not None
    assert f"return {call}" in printed
    assert "mine() # here" in printed
    assert not [text for text in ("raise failure", "failed resolving") if text in printed]
