"""The one table of options, the small languages its values are written in (quantities, JMESPath, GraphQL), and its types."""

from __future__ import annotations

from fastreq_jupyter.options.arguments import OptionArguments, document_options
from fastreq_jupyter.options.checks import header_pairs, verify_value
from fastreq_jupyter.options.columns import COLUMN_SETS, MEANINGS, NOT_EXPANDED, TIMING_COLUMNS, own_columns, shown_columns
from fastreq_jupyter.options.graphql import Document, DocumentError, choose, read_document, read_operation
from fastreq_jupyter.options.option import Door, Option, refuse_unknown
from fastreq_jupyter.options.quantity import (
    Rate,
    Share,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
    show_bytes,
    show_count,
    show_seconds,
)
from fastreq_jupyter.options.selection import Selection, check_expression
from fastreq_jupyter.options.table import FRAMES, METHODS, PARSED, TABLE, Options, ReturnType

__all__ = [
    "COLUMN_SETS",
    "FRAMES",
    "MEANINGS",
    "METHODS",
    "NOT_EXPANDED",
    "PARSED",
    "TABLE",
    "TIMING_COLUMNS",
    "Document",
    "DocumentError",
    "Door",
    "Option",
    "OptionArguments",
    "Options",
    "Rate",
    "ReturnType",
    "Selection",
    "Share",
    "check_expression",
    "choose",
    "document_options",
    "header_pairs",
    "own_columns",
    "parse_duration",
    "parse_rate",
    "parse_share",
    "parse_size",
    "read_document",
    "read_operation",
    "refuse_unknown",
    "show_bytes",
    "show_count",
    "show_seconds",
    "shown_columns",
    "verify_value",
]
