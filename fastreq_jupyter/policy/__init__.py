"""Decisions without await, clock or randomness of their own."""

from __future__ import annotations

from fastreq_jupyter.policy.adaptive import MOST, START, Adaptive, Pace
from fastreq_jupyter.policy.framing import (
    Head,
    asking_for_rest,
    is_unasked_part,
    may_ask_for_rest,
    read_head,
    validator_of,
    why_no_rest,
)
from fastreq_jupyter.policy.pages import Answer, Chain, Step, first_of, hint_of, read_how, read_total
from fastreq_jupyter.policy.polling import Standing, next_wait, standing_of, status_exchange, status_url
from fastreq_jupyter.policy.proxy import proxy_for
from fastreq_jupyter.policy.rate import Gcra, interval_of, reset_after
from fastreq_jupyter.policy.redirect import REDIRECTS, next_exchange
from fastreq_jupyter.policy.retry import LONGEST_ASKED, RETRIED, Failure, Health, Verdict, decide, parse_retry_after

__all__ = [
    "LONGEST_ASKED",
    "MOST",
    "REDIRECTS",
    "RETRIED",
    "START",
    "Adaptive",
    "Answer",
    "Chain",
    "Failure",
    "Gcra",
    "Head",
    "Health",
    "Pace",
    "Standing",
    "Step",
    "Verdict",
    "asking_for_rest",
    "decide",
    "first_of",
    "hint_of",
    "interval_of",
    "is_unasked_part",
    "may_ask_for_rest",
    "next_exchange",
    "next_wait",
    "parse_retry_after",
    "proxy_for",
    "read_head",
    "read_how",
    "read_total",
    "reset_after",
    "standing_of",
    "status_exchange",
    "status_url",
    "validator_of",
    "why_no_rest",
]
