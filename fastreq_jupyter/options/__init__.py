"""The one table of options, the words its values are written in, and its face for type checkers."""

from __future__ import annotations

from fastreq_jupyter.options.arguments import OptionArguments, ReturnType, document_options
from fastreq_jupyter.options.checks import header_pairs, verify_value
from fastreq_jupyter.options.columns import COLUMN_SETS, TIMING_COLUMNS, own_columns
from fastreq_jupyter.options.option import Door, Option, refuse_unknown
from fastreq_jupyter.options.quantity import Rate, Share, parse_duration, parse_rate, parse_share, parse_size, show_bytes, show_seconds
from fastreq_jupyter.options.table import BACKENDS, FRAMES, METHODS, PARSED, RETURN_TYPES, TABLE, Options

__all__ = [
    "BACKENDS",
    "COLUMN_SETS",
    "FRAMES",
    "METHODS",
    "PARSED",
    "RETURN_TYPES",
    "TABLE",
    "TIMING_COLUMNS",
    "Door",
    "Option",
    "OptionArguments",
    "Options",
    "Rate",
    "ReturnType",
    "Share",
    "document_options",
    "header_pairs",
    "own_columns",
    "parse_duration",
    "parse_rate",
    "parse_share",
    "parse_size",
    "refuse_unknown",
    "show_bytes",
    "show_seconds",
    "verify_value",
]
