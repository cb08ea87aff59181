"""The one table of options, the words its values are written in, and its face for type checkers."""

from __future__ import annotations

from fastreq_jupyter.options.arguments import OptionArguments, ReturnType, document_options
from fastreq_jupyter.options.checks import header_pairs, verify_value
from fastreq_jupyter.options.option import Option, refuse_unknown
from fastreq_jupyter.options.quantity import Rate, Share, parse_duration, parse_rate, parse_share, parse_size, show_bytes, show_seconds
from fastreq_jupyter.options.table import BACKENDS, RETURN_TYPES, TABLE, Options

__all__ = [
    "BACKENDS",
    "RETURN_TYPES",
    "TABLE",
    "Option",
    "OptionArguments",
    "Options",
    "Rate",
    "ReturnType",
    "Share",
    "document_options",
    "header_pairs",
    "parse_duration",
    "parse_rate",
    "parse_share",
    "parse_size",
    "refuse_unknown",
    "show_bytes",
    "show_seconds",
    "verify_value",
]
