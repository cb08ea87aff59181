"""Pages: what follows an answer that is not all of it. Decisions alone, without await, clock or randomness.

how      option `pages` as it was written            placing   where a cursor goes in a request
answer   what an answer says of items, total, next   chain     what the next pages of one request are
"""

from fastreq_jupyter.policy.pages.answer import Answer, hint_of
from fastreq_jupyter.policy.pages.chain import Chain, Step, first_of
from fastreq_jupyter.policy.pages.how import How, Total, check_pages, read_how, read_total

__all__ = ["Answer", "Chain", "How", "Step", "Total", "check_pages", "first_of", "hint_of", "read_how", "read_total"]
