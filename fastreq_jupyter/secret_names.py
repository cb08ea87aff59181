"""Names that make a field or header secret: the printed list."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["SECRET_HEADERS", "SECRET_NAMES", "is_secret_header", "is_secret_name"]

SECRET_NAMES = frozenset(
    """
    access_key access_token api_key api_secret api_token apikey app_key app_secret appid assertion auth auth_key auth_token
    authorization aws_secret_access_key aws_session_token bearer bearer_token client_assertion client_key client_secret
    code_verifier consumer_key consumer_secret credential credentials csrf_token csrfmiddlewaretoken device_token
    encryption_key hmac id_token jsessionid jwt key license_key master_key mfa_code new_password oauth_consumer_key
    oauth_signature oauth_token oauth_verifier old_password otp pass passphrase passwd password personal_access_token
    phpsessid private_key private_token pwd refresh_token sas_token secret secret_access_key secret_key secret_token
    security_token service_key session_id session_key session_token sessionid shared_secret sig signature signing_key
    subscription_key token totp user_token verification_token webhook_secret x_amz_credential x_amz_security_token
    x_amz_signature x_goog_credential x_goog_signature xsrf_token
    """.split()  # noqa: SIM905 - a printed list is read as words
)
"""Names of query, form and JSON fields; compared whole, any case, "-" and "_" left out."""

SECRET_HEADERS = frozenset(
    """
    api-key apikey authorization cookie cookie2 dd-api-key dd-application-key deploy-token job-token
    ocp-apim-subscription-key private-token proxy-authorization set-cookie set-cookie2 x-access-key x-access-token x-algolia-api-key
    x-amz-security-token x-api-key x-api-secret x-api-token x-apikey x-appwrite-key x-auth x-auth-key x-auth-token
    x-authorization x-aws-ec2-metadata-token x-consul-token x-csrf-token x-csrftoken x-figma-token x-functions-key x-gitlab-token
    x-goog-api-key x-hub-signature x-hub-signature-256 x-parse-master-key x-parse-rest-api-key x-rapidapi-key x-secret
    x-session-token x-shopify-access-token x-signature x-typesense-api-key x-vault-token x-webhook-secret x-xsrf-token
    """.split()  # noqa: SIM905 - a printed list is read as words
)
"""Header names, lower case. A header called like one of `SECRET_NAMES`, with or without ``X-``, is secret too."""

_FOLD = str.maketrans("", "", "-_")
_FOLDED_NAMES = frozenset(name.translate(_FOLD) for name in SECRET_NAMES)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a query, form or JSON field of that name is secret; ``user[password]`` counts as ``password``."""
    if name.endswith("]"):
        name = name[:-1].rpartition("[")[2] or name.partition("[")[0]
    return name.lower().translate(_FOLD) in _FOLDED_NAMES


@lru_cache(maxsize=4096)
def is_secret_header(name: str) -> bool:
    """Tell whether a header of that name is secret."""
    lower = name.lower()
    return lower in SECRET_HEADERS or is_secret_name(lower.removeprefix("x-"))
