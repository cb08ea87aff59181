"""``%config Fastreq.concurrency = 50``: defaults of all that is sent here, as traits made from the table of options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import TraitError, TraitType, Undefined

from fastreq_jupyter.bridge import shell
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.options import Option


class OptionTrait(TraitType[Any, Any]):
    """A setting that is checked as the option of that name is.

    Args:
        row: The option.
    """

    def __init__(self, row: Option) -> None:
        super().__init__(row.default, help=f"{row.help}: {row.allowed}", allow_none=True)
        self.row = row
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ARG002 - traitlets' signature
        """Return the value in its normal form.

        Raises:
            TraitError: One line.
        """
        if value is Undefined or value == self.row.default:
            return value
        try:
            return self.row.read(value)
        except OptionError as error:
            raise TraitError(str(error)) from None


def option_traits() -> dict[str, OptionTrait]:
    """Return a trait for every option that magics have."""
    return {row.name: OptionTrait(row) for row in TABLE.values() if "magic" in row.doors}


def changed_options(settings: Any) -> Mapping[str, Any]:
    """Return the options that the user set to something else than their default."""
    values = {name: getattr(settings, name) for name, row in TABLE.items() if "magic" in row.doors}
    return {name: value for name, value in values.items() if value != TABLE[name].default}


def settings() -> Mapping[str, Any]:
    """Return what %config set in this notebook; nothing where the extension is not loaded."""
    magics = next((item for item in getattr(shell(), "configurables", ()) if type(item).__name__ == "Fastreq"), None)
    return {} if magics is None else changed_options(magics)


def forget_wrong_settings(config: Any) -> None:
    """Drop values that an earlier %config refused: IPython keeps them, and they would stop the magics from loading."""
    section = config.get("Fastreq", {})
    for name, value in dict(section).items():
        try:
            Options.of(None, **{name: value})
        except OptionError:
            del section[name]
