"""Outcomes become a DataFrame, and shapes of it; importing this imports pandas."""

from __future__ import annotations

from fastreq_jupyter.frame.build import present, shown_urls, to_frame
from fastreq_jupyter.frame.columns import floats, instants, integers, texts
from fastreq_jupyter.frame.dataset import batches_frame, load, open_dataset
from fastreq_jupyter.frame.files import as_asked, save
from fastreq_jupyter.frame.fixed import body_columns, fixed_columns, fixed_frame, read_types, spark_schema
from fastreq_jupyter.frame.har import har_pieces
from fastreq_jupyter.frame.shape import Bodies, expand_frame, explode_frame, select_frame

__all__ = [
    "Bodies",
    "as_asked",
    "batches_frame",
    "body_columns",
    "expand_frame",
    "explode_frame",
    "fixed_columns",
    "fixed_frame",
    "floats",
    "har_pieces",
    "instants",
    "integers",
    "load",
    "open_dataset",
    "present",
    "read_types",
    "save",
    "select_frame",
    "shown_urls",
    "spark_schema",
    "texts",
    "to_frame",
]
