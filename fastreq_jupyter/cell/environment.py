"""Variables of a file that editors keep beside ``.http`` files: ``http-client.env.json``, one object per environment.

Its values are cell variables that stand above the cell: they may use earlier ones, and ``@name = value`` of the cell goes before them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fastreq_jupyter.cell.syntax import Span, Variable
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import OptionError

VARIABLE_NAME = r"[A-Za-z][\w.-]*"
# What Visual Studio and REST Client give to every environment.
_SHARED = "$shared"


def read_environment(file: str | None, name: str | None) -> dict[str, Variable]:
    """Return the variables of an environment; none without a file.

    Args:
        file: Its path.
        name: The environment; may be left out where there is one only.

    Raises:
        OptionError: The file cannot be read, or has no such environment; one line.
        CellSyntaxError: A value is no text of a cell.
    """
    if file is None:
        if name is not None:
            raise OptionError("--env names an environment of a file: add --env-file FILE", option="env")
        return {}
    environments = _environments(file)
    values = {**environments.pop(_SHARED, {}), **_chosen(environments, file, name)}
    texts = {key: _text(value) for key, value in values.items() if re.fullmatch(VARIABLE_NAME, key)}
    return {key: Variable(key, read_text(Span(text, 1)), 1, 1) for key, text in texts.items() if text is not None}


def _environments(file: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"--env-file {file}: {error.strerror or error}", option="env_file") from None
    except ValueError:
        raise OptionError(f"--env-file {file} is no JSON in UTF-8", option="env_file") from None
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise OptionError(f'--env-file {file}: an object of environments is needed: {{"dev": {{"host": "..."}}}}', option="env_file")
    return content


def _chosen(environments: dict[str, Any], file: str, name: str | None) -> dict[str, Any]:
    names = ", ".join(environments)
    if name is None and len(environments) > 1:
        raise OptionError(f"--env-file {file} has {names}: add --env NAME", option="env")
    if name is not None and name not in environments:
        raise OptionError(f"--env {name}: {file} has {names or 'no environment'}", option="env")
    chosen: dict[str, Any] = environments[name] if name is not None else next(iter(environments.values()), {})
    return chosen


def _text(value: Any) -> str | None:
    """Return a value as a cell would write it; None for what is no value of a request (settings of an editor, null)."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return value if isinstance(value, str) else json.dumps(value)
