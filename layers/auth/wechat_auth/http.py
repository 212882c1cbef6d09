"""The HTTP shell around the handlers: API Gateway's event in, an answer or a problem document out.

Sources: payload format 2.0 (AWS, "Working with AWS Lambda proxy integrations for HTTP APIs"),
RFC 9457 (problem documents), RFC 6750 (Bearer tokens), RFC 9110 (Accept-Language, Retry-After).
"""

import base64
import binascii
import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from wechat_auth import invocation
from wechat_auth.aws import AwsError, explain
from wechat_auth.errors import (
    INTERNAL_ERROR,
    REQUEST_TOO_LARGE,
    SESSION_INVALID,
    AuthError,
    invalid_field,
)

MAX_BODY = 16 * 1024
"""Bytes a request's body may hold."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a handler sees it.

    Attributes:
        method: Like ``POST``.
        query: The query's values, decoded; repeated ones joined by commas.
        headers: By lower-case name; repeated ones joined by commas.
    """

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    _body: str = field(repr=False)
    _is_base64: bool

    @classmethod
    def from_event(cls, event: Event) -> "Request":
        """Read API Gateway's event, payload format 2.0."""
        return cls(
            method=event["requestContext"]["http"]["method"],
            query=event.get("queryStringParameters") or {},
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            _body=event.get("body") or "",
            _is_base64=bool(event.get("isBase64Encoded")),
        )

    def body(self) -> dict[str, Any]:
        """Parse the body, which must be one JSON object of at most 16 KiB.

        Raises:
            AuthError: ``invalid_request`` or ``request_too_large``.
        """
        raw = self._body.encode("utf-8", "surrogatepass")
        if self._is_base64:
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error:
                raise invalid_field("body", "could not be decoded") from None
        if len(raw) > MAX_BODY:
            raise AuthError(REQUEST_TOO_LARGE)
        try:
            document = json.loads(
                raw.decode("utf-8"),
                parse_constant=_refuse_constant,
                object_pairs_hook=_refuse_duplicates,
            )
        except (ValueError, RecursionError):
            raise invalid_field("body", "must be JSON (RFC 8259) in UTF-8") from None
        if not isinstance(document, dict):
            raise invalid_field("body", "must be a JSON object")
        return document

    def bearer(self) -> str:
        """Return the Bearer token.

        Raises:
            AuthError: ``session_invalid`` if there is none.
        """
        token = self.optional_bearer()
        if token is None:
            raise AuthError(SESSION_INVALID)
        return token

    def optional_bearer(self) -> str | None:
        """Return the Bearer token, or ``None`` if there is no Authorization header at all.

        Raises:
            AuthError: ``session_invalid`` if the header is there but is no Bearer token.
        """
        value = self.headers.get("authorization")
        return None if value is None else bearer_token(value)

    def flag(self, name: str) -> bool:
        """Read a query value that is ``true`` or ``false``; missing means ``false``.

        Raises:
            AuthError: ``invalid_request`` for anything else.
        """
        value = self.query.get(name, "false")
        if value not in {"true", "false"}:
            raise invalid_field(name, "must be true or false")
        return value == "true"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers.

    Attributes:
        status: HTTP status.
        body: The JSON object, or ``None`` for no content.
    """

    status: int
    body: Mapping[str, Any] | None = field(default=None, repr=False)


Handler = Callable[[Event, invocation.LambdaContext], dict[str, Any]]


def endpoint(handle: Callable[[Request], Reply]) -> Handler:
    """Make a Lambda handler of a function from request to reply.

    Every error becomes a problem document; one log line of named fields says what happened.
    """

    @wraps(handle)
    def handler(event: Event, context: invocation.LambdaContext) -> dict[str, Any]:
        started = time.perf_counter()
        request_id = event.get("requestContext", {}).get("requestId")
        with invocation.serving(context, request_id) as current:
            error = None
            try:
                reply = handle(Request.from_event(event))
                answer = _answer(reply.status, reply.body, "application/json")
            except Exception as caught:  # noqa: BLE001  nothing may reach the client as it is
                error = _as_auth_error(caught, current.request_id)
                answer = _problem(error, event, current.request_id)
            invocation.logger.info(
                "request",
                extra={
                    "route": event.get("routeKey"),
                    "status": answer["statusCode"],
                    "ms": round((time.perf_counter() - started) * 1000, 1),
                    "requestId": current.request_id,
                    "code": error.problem.code if error else None,
                    "errcode": error.errcode if error else None,
                    "rid": error.rid if error else None,
                },
            )
        return answer

    return handler


def bearer_token(authorization: str) -> str:
    """Take the token out of an Authorization header's value.

    Raises:
        AuthError: ``session_invalid`` if it is no Bearer token.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthError(SESSION_INVALID)
    return token.strip()


def prefers_english(accept_language: str) -> bool:
    """Tell whether an Accept-Language header prefers English to Chinese (RFC 9110, 12.5.4)."""
    weights = {"en": 0.0, "zh": 0.0}
    for entry in accept_language.lower().split(","):
        tag, _, parameter = entry.strip().partition(";")
        language = tag.strip().split("-")[0]
        if language in weights:
            weights[language] = max(weights[language], _weight(parameter))
    return weights["en"] > weights["zh"]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def _as_auth_error(error: Exception, request_id: str) -> AuthError:
    """Find the answer to any exception, and log what the client is not told."""
    if isinstance(error, AwsError):
        error = explain(error)
    if not isinstance(error, AuthError):
        # Where it happened, but not its text: that may quote what the client sent.
        frames = traceback.extract_tb(error.__traceback__)
        invocation.count("UnexpectedErrors")
        invocation.logger.error(
            "unexpected error",
            extra={
                "requestId": request_id,
                "exception_type": type(error).__name__,
                "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:]],
            },
        )
        return AuthError(INTERNAL_ERROR)
    if error.remedy or error.problem.status >= 500:  # noqa: PLR2004
        invocation.log_fault(error)
    return error


def _problem(error: AuthError, event: Event, request_id: str) -> dict[str, Any]:
    problem = error.problem
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    english = prefers_english(headers.get("accept-language", ""))
    body: dict[str, Any] = {
        "type": f"urn:wechat-auth:problem:{problem.code}",
        "title": problem.title_en if english else problem.title_zh,
        "status": problem.status,
        "detail": error.detail,
        "code": problem.code,
        "action": problem.action,
        "requestId": request_id,
    }
    if error.rid:
        body["rid"] = error.rid
    answer = _answer(problem.status, body, "application/problem+json")
    answer["headers"]["Content-Language"] = "en" if english else "zh-CN"
    if error.retry_after is not None:
        answer["headers"]["Retry-After"] = str(error.retry_after)
    if problem is SESSION_INVALID:
        answer["headers"]["WWW-Authenticate"] = "Bearer"
    return answer


def _answer(status: int, body: Mapping[str, Any] | None, media_type: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"statusCode": status, "headers": {"Cache-Control": "no-store"}}
    if body is not None:
        answer["headers"]["Content-Type"] = f"{media_type}; charset=utf-8"
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # UTF-8 has no lone surrogates (half an emoji in a nickName): they stay JSON escapes.
        answer["body"] = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return answer


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return document
