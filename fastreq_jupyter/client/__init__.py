"""The doors of Python code: functions, sessions, what notebooks share with them, and `df.fastreq`."""

from __future__ import annotations

from fastreq_jupyter.client.api import FastRequests, fastreq, fastreq_async, fastreq_stream, submit
from fastreq_jupyter.client.call import (
    Call,
    Display,
    Session,
    check_options,
    layered,
    run_awaiting,
    run_blocking,
    settings_with,
    show_with,
    where_it_stopped,
)
from fastreq_jupyter.client.partition import PartitionPlan, partition_plan
from fastreq_jupyter.client.plan import with_defaults
from fastreq_jupyter.client.results import as_asked, check_failures, check_shape, conclude, present, value_of
from fastreq_jupyter.client.tables import cached_answers, clear_cache, preview_frame, preview_line
from fastreq_jupyter.engine import last_run

__all__ = [
    "Call",
    "Display",
    "FastRequests",
    "PartitionPlan",
    "Session",
    "as_asked",
    "cached_answers",
    "check_failures",
    "check_options",
    "check_shape",
    "clear_cache",
    "conclude",
    "fastreq",
    "fastreq_async",
    "fastreq_stream",
    "last_run",
    "layered",
    "partition_plan",
    "present",
    "preview_frame",
    "preview_line",
    "run_awaiting",
    "run_blocking",
    "settings_with",
    "show_with",
    "submit",
    "value_of",
    "where_it_stopped",
    "with_defaults",
]
