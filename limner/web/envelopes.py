"""How each surface says what went wrong: a body for an error, chosen by the request's path."""

from __future__ import annotations

from typing import Any

from limner import errors

OPENAI_PATHS = ("/v1/images", "/v1/models")
AUTOMATIC1111_PATHS = ("/sdapi/", "/controlnet/")

_OPENAI_CODES: dict[type[Exception], str] = {
    errors.InvalidKey: "invalid_api_key",
    errors.InsufficientCredits: "insufficient_quota",
    errors.LimitExceeded: "rate_limit_exceeded",
    errors.LicenceNotAccepted: "licence_not_accepted",
    errors.Unavailable: "overloaded",
    errors.NotFound: "not_found",
}


def body(path: str, status: int, text: str, error: Exception) -> dict[str, Any]:
    """The JSON of an error: ``{"error": text}``, or what the path's surface has in its place."""
    if path.startswith(OPENAI_PATHS):
        return {"error": _openai(status, text, error)}
    if path.startswith(AUTOMATIC1111_PATHS):
        # Its server sends all four; clients read ``detail`` or ``errors``.
        return {"error": type(error).__name__, "detail": text, "body": "", "errors": text}
    return {"error": text}


def headers(path: str, status: int) -> dict[str, str]:
    """Headers in which a path's surface differs: who speaks Basic is asked for Basic."""
    if status == 401 and path.startswith(AUTOMATIC1111_PATHS):
        return {"WWW-Authenticate": 'Basic realm="Limner"'}
    return {}


def _openai(status: int, text: str, error: Exception) -> dict[str, Any]:
    kind = "invalid_request_error"
    if status >= 500:
        kind = "server_error"
    elif status == 429:
        kind = "rate_limit_error"
    field = error.field if isinstance(error, errors.InvalidInput) else None
    code = next((code for kind_, code in _OPENAI_CODES.items() if isinstance(error, kind_)), None)
    return {"message": text, "type": kind, "param": field, "code": code}
