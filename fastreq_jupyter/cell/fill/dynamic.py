"""Values made while a cell is filled: ``$env``, ``$dotenv``, ``$secret``, ``$uuid``, ``$timestamp``, ``$randomInt``.

The first three are secrets: whoever inserts one puts it into `Request.secrets`.
"""

from __future__ import annotations

import importlib
import os
import random
import re
import sys
import time
import uuid
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill.lookup import LookupFailed, near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.cell.syntax import DynamicCall

SECRET_CALLS = frozenset({"env", "dotenv", "secret", "shell"})
_ALIASES = {"guid": "uuid", "random.uuid": "uuid", "processEnv": "env"}
_CALLS: Mapping[str, tuple[int, int, str]] = {
    "env": (1, 1, "$env NAME"),
    "dotenv": (1, 1, "$dotenv NAME"),
    "secret": (1, 1, "$secret NAME"),
    "uuid": (0, 0, "$uuid"),
    "timestamp": (0, 0, "$timestamp"),
    "randomInt": (0, 2, "$randomInt 1 100"),
}
# JetBrains' bounds, used where none are written.
_RANDOM = ("0", "1000")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def _live_environ() -> Mapping[str, str]:
    return os.environ


def _dotenv_values() -> Mapping[str, str | None]:
    # Imported here: only cells that use it need it.
    from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 - loaded by whoever needs it

    return dotenv_values(find_dotenv(usecwd=True))


def read_secret(name: str) -> str | None:
    """Return a secret of Colab's user data, else of the system's keyring (service ``fastreq``), else None."""
    return _from_colab(name) or _from_keyring(name)


def _from_colab(name: str) -> str | None:
    if "google.colab" not in sys.modules:
        return None
    userdata = importlib.import_module("google.colab.userdata")
    try:
        value: str | None = userdata.get(name)
    except Exception:  # noqa: BLE001 - Colab raises classes of its own for absent and forbidden names
        return None
    return value


def _from_keyring(name: str) -> str | None:
    keyring = _keyring()
    if keyring is None:
        return None
    try:
        value: str | None = keyring.get_password("fastreq", name)
    except Exception:  # noqa: BLE001 - a locked or missing keyring is the same as no entry
        return None
    return value


@cache
def _keyring() -> Any:
    try:
        return importlib.import_module("keyring")
    except ImportError:
        return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What dynamic values are read from; tests give their own.

    Attributes:
        environ: Gives the environment.
        dotenv: Gives the pairs of the nearest ``.env`` file from the working directory upward.
        secret: Gets a name, gives Colab's or the keyring's secret, or None.
        now: Seconds since 1970.
        randint: Both bounds included.
        uuid4: Gives a random UUID's text.
    """

    environ: Callable[[], Mapping[str, str]] = _live_environ
    dotenv: Callable[[], Mapping[str, str | None]] = _dotenv_values
    secret: Callable[[str], str | None] = read_secret
    now: Callable[[], float] = time.time
    randint: Callable[[int, int], int] = random.randint
    uuid4: Callable[[], str] = lambda: str(uuid.uuid4())


def check_call(call: DynamicCall) -> str:
    """Return the name of a dynamic value in its common spelling.

    Raises:
        LookupFailed: There is none of that name, or its arguments do not fit.
    """
    name = _ALIASES.get(call.name, call.name)
    if name == "shell":
        return name
    if name not in _CALLS:
        nearest = get_close_matches(name, _CALLS, n=1, cutoff=0.5)
        hint = f"did you mean ${nearest[0]}?" if nearest else "there are " + ", ".join("$" + call_name for call_name in _CALLS)
        raise LookupFailed(f"unknown ${call.name[:40]}: {hint}")
    least, most, usage = _CALLS[name]
    if not least <= len(call.args) <= most or (name == "randomInt" and len(call.args) == 1):
        raise LookupFailed(f"${name} is written {{{{{usage}}}}}")
    if name == "randomInt" and call.args and not all(_INTEGER.fullmatch(word) for word in call.args):
        raise LookupFailed("$randomInt takes two whole numbers, {{$randomInt 1 100}}")
    if name == "randomInt" and call.args and int(call.args[0]) > int(call.args[1]):
        raise LookupFailed(f"$randomInt {' '.join(call.args)}: the first number is the lower one")
    return name


def make(call: DynamicCall, surroundings: Surroundings) -> Any:
    """Return a new value of a checked call.

    Raises:
        LookupFailed: A variable or secret of that name is not set.
    """
    name = check_call(call)
    if name == "uuid":
        return surroundings.uuid4()
    if name == "timestamp":
        return int(surroundings.now())
    if name == "randomInt":
        low, high = call.args or _RANDOM
        return surroundings.randint(int(low), int(high))
    if name == "shell" and len(call.args) > 1 and call.args[0] not in surroundings.environ():
        return call.args[1]
    return _secret_value(name, call.args[0], surroundings)


def _secret_value(kind: str, name: str, surroundings: Surroundings) -> str:
    environ = surroundings.environ()
    defined: Mapping[str, Any] = environ if kind in ("env", "shell") else {}
    if kind == "secret":
        value = environ.get(name) or surroundings.secret(name)
        where = "an environment variable, Colab's user data or the keyring (service fastreq)"
    elif kind == "dotenv":
        defined = surroundings.dotenv()
        value, where = defined.get(name), "the .env file"
    else:
        value, where = environ.get(name), "the environment"
    if value is None and kind == "shell":
        raise LookupFailed(
            f"${name} is not set in the environment: set it, write {{{{{name}}}}} for a variable of the notebook, or quote it with '"
        )
    if value is None:
        raise LookupFailed(f"${kind} {name}: not set in {where}{near(name, defined)}")
    return value
