"""--env-file and --env: variables of http-client.env.json."""

import json

import pytest
from samples.cells import items, one, urls

from fastreq_jupyter.errors import OptionError

FILE = {
    "$shared": {"version": "v2", "base": "http://shared"},
    "dev": {"base": "http://dev", "demo-service": "orders", "n": 7, "flag": True, "id": "a b", "link": "{{base}}/{{version}}"},
    "prod": {"base": "http://prod", "Security": {"Auth": {}}, "none": None, "two words": "x"},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "http-client.env.json"
    path.write_text("\ufeff" + json.dumps(FILE), encoding="utf-8")
    return str(path)


def test_an_environment_gives_variables_of_any_name_and_shares_some(file):
    text = "GET {{base}}/{{version}}/{{demo-service}}?n={{n}}&flag={{flag}}&id={{id}}"
    assert urls(text, env_file=file, env="dev") == ["http://dev/v2/orders?n=7&flag=true&id=a%20b"]
    assert urls("{{link}}/x", env_file=file, env="dev") == ["http://dev/v2/x"]
    assert urls("{{base}}/x\n{{base}}/y", env_file=file, env="prod") == ["http://prod/x", "http://prod/y"]


def test_the_cells_own_variables_and_the_row_go_before_it_and_it_before_the_notebook(file):
    given = {"env_file": file, "env": "dev"}
    assert urls("@base = http://own\n{{base}}/{{id}}", each=[("t", [{"id": 1}])], **given) == ["http://own/1"]
    assert urls("@mine = {{base}}/{{n}}\n{{mine}}", **given) == ["http://dev/7"]
    assert urls("{{base}}/{{other}}", namespace={"base": "http://notebook", "other": 3}, **given) == ["http://dev/3"]


def test_the_only_environment_needs_no_name(tmp_path):
    path = tmp_path / "one.json"
    path.write_text('{"dev": {"base": "http://h", "token": "t"}}')
    request = one("{{base}}/x\nAuthorization: Bearer {{token}}", env_file=str(path))
    assert (request.url, request.header("authorization")) == ("http://h/x", "Bearer t")
    path.write_text('{"$shared": {"base": "http://h"}}')
    assert urls("{{base}}/x", env_file=str(path)) == ["http://h/x"]


@pytest.mark.parametrize(
    ("content", "env", "said"),
    [
        (json.dumps(FILE), None, "has dev, prod: add --env NAME"),
        (json.dumps(FILE), "test", "--env test: "),
        ("{}", "dev", "has no environment"),
        ("{", None, "is no JSON in UTF-8"),
        ('{"a": "\xe9"}', None, "is no JSON in UTF-8"),
        ("[]", None, "an object of environments"),
        ('{"base": "http://h"}', None, "an object of environments"),
        (None, None, "No such file"),
    ],
)
def test_what_gives_no_environment_is_told_in_one_line(tmp_path, content, env, said):
    path = tmp_path / "e.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(OptionError) as caught:
        items("http://h/", env_file=str(path), env=env)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_without_a_file_is_told():
    with pytest.raises(OptionError, match="add --env-file FILE"):
        items("http://h/", env="dev")
