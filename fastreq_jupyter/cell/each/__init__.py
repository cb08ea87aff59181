"""The rows of ``--each``: what they hold, which request is whose, and their columns on the frame."""

from fastreq_jupyter.cell.each.join import RowJoin, renamed
from fastreq_jupyter.cell.each.rows import EachSpec, Rows, Source
from fastreq_jupyter.cell.each.tables import Table

__all__ = ["EachSpec", "RowJoin", "Rows", "Source", "Table", "renamed"]
