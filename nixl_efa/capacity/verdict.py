"""What an error of a purchase says about the purchase: certainly not made, or nobody knows."""

from __future__ import annotations

from nixl_efa.aws_calls import is_throttling
from nixl_efa.aws_errors import error_code

# No connection was made, or none was even tried, so the request never left. By the class's name: botocore is
# not imported here. An SSLError or a closed connection can also come after the request was sent, and so can a
# ProxyConnectionError: http.client closes a connection that breaks while the answer is read, and urllib3 then
# takes it for one that never reached the proxy.
_NEVER_SENT = frozenset(
    {
        "ParamValidationError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "LoginError",
        "ProfileNotFound",
        "NoRegionError",
        "InvalidRegionError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
    }
)
# Client errors that say nothing about the effect: something on the way gave up waiting.
_GAVE_UP_CODES = frozenset({"RequestTimeout", "RequestTimeoutException", "408", "499"})
_GAVE_UP_STATUS = frozenset({408, 409, 425, 499})


def certainly_not_bought(error: BaseException) -> bool:
    """Whether this error of the call proves that nothing was bought.

    A client error (HTTP 4xx) is EC2's refusal. Throttling is a refusal too, although EC2 sends
    RequestLimitExceeded with status 503 (EC2 API reference, errors-overview: the request was not processed).
    Every other server error, a timeout, a closed connection or an answer that can't be read proves nothing.
    """
    if any(kind.__name__ in _NEVER_SENT for kind in type(error).__mro__):
        return True
    if not isinstance(error, Exception):
        return False
    code = error_code(error)
    if not code:
        return False
    if is_throttling(error):
        return True
    status = _status(error)
    return 400 <= status < 500 and status not in _GAVE_UP_STATUS and code not in _GAVE_UP_CODES


def _status(error: Exception) -> int:
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return int(metadata.get("HTTPStatusCode", 0))
