"""Placeholders get their values."""

from fastreq_jupyter.cell.fill.binding import Binder, Bound, BoundParts, Check, Env, MisfitError, json_in, text_in, value_in
from fastreq_jupyter.cell.fill.body import BodyPlan
from fastreq_jupyter.cell.fill.dynamic import Surroundings
from fastreq_jupyter.cell.fill.head import HeaderPlan, UrlPlan, header_text
from fastreq_jupyter.cell.fill.lookup import LookupFailed, check_order, item_of, near, offered, walk

__all__ = [
    "Binder",
    "BodyPlan",
    "Bound",
    "BoundParts",
    "Check",
    "Env",
    "HeaderPlan",
    "LookupFailed",
    "MisfitError",
    "Surroundings",
    "UrlPlan",
    "check_order",
    "header_text",
    "item_of",
    "json_in",
    "near",
    "offered",
    "text_in",
    "value_in",
    "walk",
]
