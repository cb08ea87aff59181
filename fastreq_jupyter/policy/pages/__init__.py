"""Pages: what follows an answer that is not all of it. Decisions alone, without await, clock or randomness.

answer    what the options ask for, and what an answer says of items, total and next
placing   where a cursor goes in a request
chain     what the next pages of one request are
"""

from fastreq_jupyter.policy.pages.answer import Answer, hint_of, read_how, read_total
from fastreq_jupyter.policy.pages.chain import Chain, Step, first_of

__all__ = ["Answer", "Chain", "Step", "first_of", "hint_of", "read_how", "read_total"]
