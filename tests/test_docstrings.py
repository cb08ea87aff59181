"""The public interface says of itself what a function takes and what it raises."""

from __future__ import annotations

import inspect
import textwrap

import pytest

import fastreq_jupyter
from fastreq_jupyter import demo
from fastreq_jupyter.client.accessor import FastreqAccessor


def members(name, thing):
    """A function under its name; of a class, the class and its public methods."""
    yield name, thing
    for base in getattr(thing, "__mro__", ()):
        if base.__module__.startswith(fastreq_jupyter.__name__):
            for key, value in vars(base).items():
                if not key.startswith("_") and inspect.isroutine(function := getattr(value, "__func__", value)):
                    yield f"{name}.{key}", function


OFFERED = [
    *((name, getattr(fastreq_jupyter, name)) for name in fastreq_jupyter.__all__),
    *((f"demo.{name}", getattr(demo, name)) for name in demo.__all__),
    ("df.fastreq", FastreqAccessor),
]
PUBLIC = dict(member for name, thing in OFFERED if callable(thing) for member in members(name, thing))


@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if inspect.isfunction(thing)])
def test_a_public_function_names_its_parameters_and_errors(name):
    function = inspect.unwrap(PUBLIC[name])
    doc = inspect.getdoc(function) or ""
    parameters = [parameter for parameter in inspect.signature(function).parameters if parameter not in ("self", "cls")]
    assert not parameters or "\nArgs:\n" in doc
    assert "raise " not in textwrap.dedent(inspect.getsource(function)) or "\nRaises:\n" in doc


def test_the_public_interface_is_what_this_looks_at():
    assert len([name for name in PUBLIC if "." in name]) > 40
    assert {"fastreq", "Run.update", "FastRequests.request", "df.fastreq.retry_failed", "demo.start"} <= PUBLIC.keys()
