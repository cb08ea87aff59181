"""Finds errors in the bodies of good answers: `fail_when` and `retry_when`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.engine.reading import parse_json
from fastreq_jupyter.options import PARSED, Selection
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.model import Response
    from fastreq_jupyter.options import Options

__all__ = ["BodyVerdict", "Conditions", "json_of"]

_SHOWN = 300


class BodyVerdict(NamedTuple):
    """What was found in a body.

    Attributes:
        detail: What makes the answer a bad one, in one line, not redacted; None where it is good.
        retry: It is to be tried again.
        note: What a person should know, to be read behind "3 bodies", or None.
    """

    detail: str | None = None
    retry: bool = False
    note: str | None = None


class Conditions:
    """The expressions that turn a good answer into an error if they find anything but null, false, 0 or an empty value.

    Args:
        options: `fail_when`, `retry_when`; and `return_type`, which says what a body was read as.

    Raises:
        OptionError: An expression is none.
    """

    def __init__(self, options: Options) -> None:
        named = (("retry_when", options.retry_when), ("fail_when", options.fail_when))
        self._expressions = [(name, Selection(text, name)) for name, text in named if text is not None]
        self._parsed = options.return_type in PARSED

    @classmethod
    def of(cls, options: Options) -> Conditions | None:
        """Return the conditions, None where there are none."""
        return None if options.fail_when is None and options.retry_when is None else cls(options)

    def judge(self, response: Response, data: Any, content_type: str | None, *, hidden: bool) -> BodyVerdict:
        """Return what the expressions find in the body of a good answer.

        Args:
            response: The answer.
            data: Its body as it was read.
            content_type: Its field value.
            hidden: The body must not be shown.
        """
        body = data if self._parsed else json_of(response.content, content_type)
        note = None
        for name, expression in self._expressions:
            try:
                value = expression.search(body, dict(response.headers) if expression.reads_headers else None)
            except ValueError as error:
                note = f"to which {name} could not be applied: {one_line(str(error), _SHOWN)}"
                continue
            if value:
                return BodyVerdict(f"{name}: {expression.text if hidden or value is True else _shown(value)}", retry=name == "retry_when")
            if isinstance(body, (str, bytes)):
                note = f"without JSON for {name} to look into"
        return BodyVerdict(note=note)


def json_of(content: bytes | None, content_type: str | None) -> Any:
    """Return the JSON of a body; its bytes if it is no JSON, None if there is no body."""
    if not content:
        return None
    try:
        return parse_json(content, content_type)
    except ValueError:
        return content


def _shown(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _SHOWN)
