"""URLs and options become a plan."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from fastreq_jupyter.client.credentials import SessionDefaults
from fastreq_jupyter.client.plan import make_plan, with_defaults
from fastreq_jupyter.engine.cookies import Jar
from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.model import Deferred, Request, Unsendable
from fastreq_jupyter.options import Options
from fastreq_jupyter.url import parse_target


def plan_of(urls, *, jar=None, home=None, **options):
    return make_plan(urls, Options.of(None, **options), jar=Jar() if jar is None else jar, home=home)


def items_of(urls, **options):
    return list(plan_of(urls, **options).requests)


def only_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_str_is_one_request_and_single():
    plan = plan_of("http://h/1")
    assert (plan.single, plan.total) == (True, 1)
    assert [item.url for item in plan.requests] == ["http://h/1"]


def test_a_list_is_counted_and_kept_in_order():
    plan = plan_of(["http://h/2", "http://h/1"])
    assert (plan.single, plan.total) == (False, 2)
    assert [item.url for item in plan.requests] == ["http://h/2", "http://h/1"]


def test_a_list_changed_later_does_not_change_the_plan():
    urls = ["http://h/1"]
    plan = plan_of(urls)
    urls.append("http://h/2")
    assert len(list(plan.requests)) == 1


def test_a_generator_is_drawn_only_as_needed():
    drawn = []

    def urls():
        for number in itertools.count():
            drawn.append(number)
            yield f"http://h/{number}"

    plan = plan_of(urls())
    assert plan.total is None
    assert drawn == []
    assert [item.url for item in itertools.islice(plan.requests, 2)] == ["http://h/0", "http://h/1"]
    assert len(drawn) == 2


def test_limit_takes_the_first_of_an_endless_source():
    plan = plan_of((f"http://h/{n}" for n in itertools.count()), limit=3)
    assert len(list(plan.requests)) == 3


def test_limit_counts_in_the_total_of_a_list():
    assert plan_of(["http://h/1"] * 5, limit=2).total == 2


async def test_an_asynchronous_source_stays_asynchronous():
    async def urls():
        for number in range(5):
            yield f"http://h/{number}"

    assert [item.url async for item in plan_of(urls(), limit=2).requests] == ["http://h/0", "http://h/1"]


@pytest.mark.parametrize("urls", [None, 7, 1.5, b"http://h/", True, {"a": "http://h/"}, pd.DataFrame({"url": ["http://h/"]}), object()])
def test_what_holds_no_urls_is_refused_in_one_line(urls):
    with pytest.raises(UsageError) as error:
        plan_of(urls)
    assert only_line(error).startswith("urls is ")


@pytest.mark.parametrize("element", [None, float("nan"), 7, b"http://h/", {"url": "http://h/"}, ["http://h/"], pd.NA])
def test_an_element_that_is_no_url_becomes_a_row_of_its_own(element):
    good, bad = items_of(["http://h/1", element])
    assert isinstance(good, Request)
    assert isinstance(bad, Unsendable)
    assert bad.error == "invalid URL"


def test_requests_keep_what_is_theirs():
    given = Request("POST", "http://h/", json={"a": 1}, headers={"X-A": "1"})
    assert items_of([given], method="DELETE", headers={"X-B": "2"}) == [given]


def test_plain_urls_get_method_headers_params_and_body():
    (item,) = items_of("http://h/a?x=1", method="post", headers={"X-A": "1"}, params={"q": ["1", "2"], "none": None}, json={"n": 1})
    assert (item.method, item.url, item.content) == ("POST", "http://h/a?x=1&q=1&q=2", b'{"n": 1}')
    assert item.header("x-a") == "1"
    assert item.header("content-type") == "application/json"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"json": {1, 2}}, "json"),
        ({"json": float("inf")}, "json"),
        ({"params": {"a": float("nan")}, "data": "x"}, "params"),
        ({"params": {"a": 1, 2: 3}.items(), "data": 5}, "data"),
    ],
)
def test_a_body_that_cannot_be_encoded_is_refused_in_one_line(options, name):
    with pytest.raises(UsageError) as error:
        plan_of("http://h/", **options)
    assert only_line(error).startswith(f"{name} cannot be sent")


def test_keys_become_the_plans_keys():
    assert list(plan_of(["http://h/1", "http://h/2"], keys=["a", "b"]).keys) == ["a", "b"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a"], "keys has 1 labels for 2 URLs"),
        ("ab", "keys cannot be read"),
        (["a", "a"], "'a' twice"),
        ([[1], [2]], "a list"),
        (itertools.count(), "more than 2"),
    ],
)
def test_keys_that_do_not_fit_are_refused_in_one_line(keys, said):
    with pytest.raises(UsageError) as error:
        plan_of(["http://h/1", "http://h/2"], keys=keys)
    assert said in only_line(error)


@pytest.mark.parametrize("count", [1, 3])
def test_keys_of_a_lazy_source_are_counted_at_its_end(count):
    plan = plan_of((f"http://h/{n}" for n in range(count)), keys=["a", "b"])
    with pytest.raises(UsageError, match="keys has 2 labels"):
        list(plan.requests)


def test_a_series_keeps_its_own_index():
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", "y"])
    plan = plan_of(pd.Series(["http://h/1", "http://h/2"], index=index))
    assert plan.keys is index
    assert plan.options.keys is None


def test_equal_requests_are_mentioned():
    assert plan_of(["http://h/1"] * 3).notes == ("2 of 3 requests are equal to an earlier one: dedup=True sends them once",)


def test_dedup_sends_equal_safe_requests_once():
    first, second, third = items_of(["http://h/1", "http://h/2", "http://h/1"], dedup=True)
    assert isinstance(third, Deferred)
    assert third.needs == (0,)
    assert isinstance(first, Request)
    assert isinstance(second, Request)


async def test_dedup_works_on_asynchronous_sources():
    async def urls():
        yield "http://h/1"
        yield "http://h/1"

    assert [type(item) async for item in plan_of(urls(), dedup=True).requests] == [Request, Deferred]


def test_auth_goes_to_its_origin():
    first, second = items_of(["http://a/1", "http://b/1"], auth={"http://a": ("user", "password"), "http://b": "token-of-b"})
    assert first.header("authorization") == "Basic dXNlcjpwYXNzd29yZA=="
    assert second.header("authorization") == "Bearer token-of-b"


def test_auth_of_another_origin_goes_nowhere_else():
    (item,) = items_of("http://c/1", auth={"http://a": "token-of-a"})
    assert item.header("authorization") is None


def test_one_auth_for_several_origins_is_refused_before_anything_is_sent():
    with pytest.raises(OptionError) as error:
        plan_of(["http://a/1", "http://b/1"], auth="very-secret-token")
    assert "auth={origin: credentials}" in only_line(error)
    assert "very-secret-token" not in str(error.value)


def test_one_auth_for_a_lazy_source_stops_at_the_second_origin():
    first, second = items_of((url for url in ["http://a/1", "http://b/1"]), auth="token-of-a")
    assert first.header("authorization") == "Bearer token-of-a"
    assert isinstance(second, Unsendable)
    assert second.error == "invalid value"


def test_what_a_request_says_itself_goes_before_auth():
    own = Request("GET", "http://a/1", headers={"Authorization": "Own x"})
    named, with_user = items_of([own, "http://u:p@a/2"], auth="token-of-a")
    assert named.header("authorization") == "Own x"
    assert with_user.header("authorization") is None


def test_a_key_of_auth_must_be_an_origin():
    with pytest.raises(OptionError, match="no origin"):
        plan_of("http://a/1", auth={"a": "token"})


def test_cookies_go_only_to_the_origins_of_given_urls():
    jar = Jar()
    list(plan_of(["http://a/1", Request("GET", "http://b/")], cookies={"k": "v"}, jar=jar).requests)
    assert jar.header_for(parse_target("http://a/2")) == "k=v"
    assert jar.header_for(parse_target("http://b/")) is None
    assert jar.header_for(parse_target("http://a:81/")) is None


def test_files_are_named_after_the_url():
    names = [item.save_as for item in items_of(["http://h/a/b.jpg", "http://h/a/b.jpg?size=2", "http://h/"], save_to="img")]
    assert len(set(names)) == 3
    assert names[0] == "img/b.jpg"


def test_no_secret_of_a_url_becomes_a_file_name():
    (item,) = items_of("http://h/a?api_key=abcdefgh12345", save_to="img")
    assert "abcdefgh12345" not in item.save_as


def test_equal_file_names_are_refused_before_anything_is_sent():
    with pytest.raises(UsageError) as error:
        plan_of(["http://h/a/x.jpg", "http://h/b/X.JPG"], save_to="img")
    assert "template" in only_line(error)


def test_equal_file_names_of_a_lazy_source_are_error_rows():
    first, second = items_of((url for url in ["http://h/a/x.jpg", "http://h/b/x.jpg"]), save_to="img")
    assert first.save_as == "img/x.jpg"
    assert second.error == "save_to"


def test_equal_requests_that_are_sent_once_share_their_file():
    first, second = items_of(["http://h/x.jpg"] * 2, save_to="img", dedup=True)
    assert first.save_as == "img/x.jpg"
    assert isinstance(second, Deferred)


def test_a_template_names_files_by_key_and_place():
    names = [item.save_as for item in items_of(["http://h/x"] * 2, save_to="img/{{ key }}-{{index}}.bin", keys=["a/..", "b"])]
    assert names == ["img/a_..-0.bin", "img/b-1.bin"]


@pytest.mark.parametrize("template", ["img/{{sku}}.jpg", "img/{{key}}.jpg"])
def test_a_template_with_an_unknown_name_is_refused_in_one_line(template):
    with pytest.raises(UsageError) as error:
        plan_of("http://h/x", save_to=template)
    assert only_line(error).startswith("save_to:")


def test_a_home_joins_relative_urls_and_keeps_its_headers_to_its_origin():
    home = SessionDefaults("http://a/api/", headers=(("X-Api-Key", "key-of-a"),), auth="token-of-a")
    below, elsewhere = items_of(["/users", "http://b/x"], home=home)
    assert (below.url, below.header("x-api-key"), below.header("authorization")) == ("http://a/api/users", "key-of-a", "Bearer token-of-a")
    assert elsewhere.headers == ()


@pytest.mark.parametrize("secrets", [{"headers": (("X-Api-Key", "key"),)}, {"auth": "token"}])
def test_secrets_without_an_origin_are_refused(secrets):
    with pytest.raises(OptionError, match="base_url"):
        SessionDefaults(None, **secrets)


def test_requests_of_a_cell_get_credentials_once_they_are_resolved():
    shown = Request("GET", "http://a/2")
    deferred = Deferred((0,), lambda outcomes: shown, shown)
    items, _ = with_defaults([Request("GET", "http://a/1"), deferred], Options.of(None, auth="token-of-a"), jar=Jar(), home=None, total=2)
    first, second = items
    assert first.header("authorization") == "Bearer token-of-a"
    assert second.resolve([]).header("authorization") == "Bearer token-of-a"
