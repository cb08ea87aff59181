"""The text of a cell becomes a plan, and requests become text again; nothing here knows IPython."""

from fastreq_jupyter.cell.grammar import Body, content_type_of, parse, read_body, read_file_line
from fastreq_jupyter.cell.har import Recorded, read_har
from fastreq_jupyter.cell.help import examples_text, help_text
from fastreq_jupyter.cell.items import Dedup, equal_names
from fastreq_jupyter.cell.line import MagicLine, fill_options, parse_line, split_line
from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.cell.request_line import METHODS, PLAIN_URL
from fastreq_jupyter.cell.rows import EachSpec, Source
from fastreq_jupyter.cell.syntax import ParsedCell, Part, Parts, Placeholder, Ref, RequestTemplate, Span, TextPiece, Variable
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.cell.text import secrets_of, to_curl, to_http

__all__ = [
    "METHODS",
    "PLAIN_URL",
    "Body",
    "Dedup",
    "EachSpec",
    "MagicLine",
    "ParsedCell",
    "Part",
    "Parts",
    "Placeholder",
    "Recorded",
    "Ref",
    "RequestTemplate",
    "Source",
    "Span",
    "TextPiece",
    "Variable",
    "build",
    "content_type_of",
    "equal_names",
    "examples_text",
    "fill_options",
    "help_text",
    "parse",
    "parse_line",
    "read_body",
    "read_file_line",
    "read_har",
    "read_text",
    "secrets_of",
    "split_line",
    "to_curl",
    "to_http",
]
