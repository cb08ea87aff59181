"""Who gets which credentials: the values of option `auth`, and tokens, how they are got, kept and renewed.

ApiKey, a pair, a bearer token   put on each request when it is made
Digest, SigV4, Negotiate, NTLM   done by the backend's own library, exchange by exchange
OAuth2, functions, objects       give tokens: one per (auth, origin), in memory only
"""

from __future__ import annotations

from fastreq_jupyter.auth.oauth2 import OAuth2
from fastreq_jupyter.auth.schemes import NTLM, ApiKey, AuthError, Digest, Native, Negotiate, SigV4, Token, bearer_line
from fastreq_jupyter.auth.sources import Keeper, gives_tokens, keeper_of

__all__ = [
    "NTLM",
    "ApiKey",
    "AuthError",
    "Digest",
    "Keeper",
    "Native",
    "Negotiate",
    "OAuth2",
    "SigV4",
    "Token",
    "bearer_line",
    "gives_tokens",
    "keeper_of",
]
