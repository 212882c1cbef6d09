"""The shell around the handlers: an event of Lambda's in, an answer or a problem document out.

Sources: payload format 2.0 (AWS, "Working with AWS Lambda proxy integrations for HTTP APIs"),
RFC 9457 (problem documents), RFC 6750 (Bearer tokens), RFC 7617 (Basic), RFC 9110 (Accept-Language,
Retry-After).
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote_plus

from wechat_auth import invocation, mistakes
from wechat_auth.backend import Backend, backend
from wechat_auth.errors import (
    CLIENT_INVALID,
    INTERNAL_ERROR,
    NO_SUCH_ROUTE,
    REQUEST_TOO_LARGE,
    SESSION_INVALID,
    WRONG_ADDRESS,
    AccountRefusedError,
    AuthError,
    invalid_field,
    misconfigured,
)
from wechat_crypto import parse_json

MAX_BODY = 16 * 1024
"""Bytes a request's body may hold."""
_CHALLENGES = {
    SESSION_INVALID.code: "Bearer",
    CLIENT_INVALID.code: 'Basic realm="introspection"',
}
"""WWW-Authenticate of each problem that is about who asks."""
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")  # long enough that nobody guesses one

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a handler sees it.

    Attributes:
        method: Like ``POST``.
        path: The values that the path holds in place of its ``{names}``.
        query: The query's values, decoded; repeated ones joined by commas.
        headers: By lower-case name; repeated ones joined by commas.
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    _body: str = field(repr=False)
    _is_base64: bool

    @classmethod
    def from_event(cls, event: Event) -> "Request":
        """Read API Gateway's event, payload format 2.0."""
        return cls(
            method=event["requestContext"]["http"]["method"],
            path=event.get("pathParameters") or {},
            query=event.get("queryStringParameters") or {},
            headers=_headers(event),
            _body=event.get("body") or "",
            _is_base64=bool(event.get("isBase64Encoded")),
        )

    def body(self) -> dict[str, Any]:
        """Parse the body, which must be one JSON object of at most 16 KiB.

        Raises:
            AuthError: ``invalid_request`` or ``request_too_large``.
        """
        raw = self.content()
        try:
            # RFC 8259, 8.1: a byte order mark may be ignored.
            document = parse_json(raw.decode("utf-8-sig"), unique=True, finite=False)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            content_type = self.headers.get("content-type", "")
            raise invalid_field("body", mistakes.of_body(raw, content_type))
        return document

    def form(self) -> dict[str, str]:
        """Parse the body, which must be a form (x-www-form-urlencoded) of at most 16 KiB.

        Raises:
            AuthError: ``invalid_request``, also for a name that comes twice (RFC 6749, 3.2), or
                ``request_too_large``.
        """
        pairs = parse_qsl(self.content().decode("utf-8", "replace"), keep_blank_values=True)
        form = dict(pairs)
        if len(form) < len(pairs):
            raise invalid_field("body", "must not hold a parameter twice")
        return form

    def content(self, at_most: int = MAX_BODY) -> bytes:
        """Return the body's bytes, of which there may be so many.

        Raises:
            AuthError: ``invalid_request`` or ``request_too_large``.
        """
        raw = self._body.encode("utf-8", "surrogatepass")
        if self._is_base64:
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error:
                raise invalid_field("body", "could not be decoded") from None
        if len(raw) > at_most:
            raise AuthError(REQUEST_TOO_LARGE)
        return raw

    def basic(self) -> tuple[str, str]:
        """Return name and secret of HTTP Basic authentication.

        OAuth clients encode both as a form does (RFC 6749, 2.3.1), others do not. Neither holds a
        ``%`` or ``+`` here, so decoding is right for both.

        Raises:
            AuthError: ``client_invalid`` if there is none.
        """
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        try:
            text = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:
            text = ""
        name, colon, secret = text.partition(":")
        if scheme.lower() != "basic" or not colon:
            raise AuthError(CLIENT_INVALID)
        return unquote_plus(name), unquote_plus(secret)

    def bearer(self) -> str:
        """Return the Bearer token.

        Raises:
            AuthError: ``session_invalid`` if there is none; ``invalid_request`` if it stands
                elsewhere, which no new login would mend.
        """
        token = self.optional_bearer()
        if token is None:
            body: dict[str, Any] = {}
            with suppress(AuthError):
                body = self.body()
            if mistake := mistakes.of_missing_token(self.headers, self.query, body):
                raise invalid_field("Authorization", f"{mistake}; send Bearer and the token here")
            raise AuthError(SESSION_INVALID)
        return token

    def optional_bearer(self) -> str | None:
        """Return the Bearer token, or ``None`` if there is no Authorization header at all.

        Raises:
            AuthError: ``session_invalid`` or ``invalid_request`` if the header is there but is no
                Bearer token.
        """
        value = self.headers.get("authorization")
        return None if value is None else bearer_token(value)

    def idempotency_key(self) -> str | None:
        """Return the Idempotency-Key header, or ``None`` if there is none.

        Raises:
            AuthError: ``invalid_request`` if it has another form.
        """
        value = self.headers.get("idempotency-key")
        if value is not None and not _IDEMPOTENCY_KEY.fullmatch(value):
            raise invalid_field("Idempotency-Key", "must be 16 to 128 letters, digits, _ or -")
        return value

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


class LambdaHandler(Protocol):
    """What Lambda calls."""

    def __call__(
        self,
        event: Event,
        context: invocation.LambdaContext,
        make_backend: Callable[[], Backend] = backend,
    ) -> dict[str, Any]:
        """Serve one invocation; Lambda gives the event and the context."""


def endpoint(handle: Callable[[Request, Backend], Reply]) -> LambdaHandler:
    """Make a Lambda handler of a function from request to reply.

    Every error becomes a problem document; one log line of named fields says what happened.
    """

    def serve(event: Event, made: Backend, current: invocation.Invocation) -> dict[str, Any]:
        if not _is_request(event):
            return _not_served(event, current)
        request = Request.from_event(event)
        _require_edge(request, made.settings.origin_secret_sha256)
        if event["routeKey"] == "$default":
            raise _no_such_route(event)
        reply = handle(request, made)
        answer = _answer(reply.status, reply.body, "application/json")
        return _logged(answer, event, current)

    def refuse(error: AuthError, event: Event, current: invocation.Invocation) -> dict[str, Any]:
        event = event if isinstance(event, dict) else {}
        return _logged(_problem(error, event, current.request_id), event, current, error)

    return _shell(handle, serve, refuse)


def push(handle: Callable[[Request, Backend], str | None]) -> LambdaHandler:
    """Make a Lambda handler of a function from a push of WeChat's to the text that it gets.

    ``None``, and whatever is wrong with the request, is 403 without a word, and is counted. What is
    wrong here has the status of its problem and no content: WeChat sends the push again.
    """

    def serve(event: Event, made: Backend, current: invocation.Invocation) -> dict[str, Any]:
        if not _is_request(event):
            return _not_served(event, current)
        request = Request.from_event(event)
        _require_edge(request, made.settings.origin_secret_sha256)
        text = handle(request, made)
        if text is None:
            return _refused_push(event, current)
        answer = _answer(HTTPStatus.OK, None, "")
        answer["headers"]["Content-Type"] = "text/plain; charset=utf-8"
        return _logged({**answer, "body": text}, event, current)

    def refuse(error: AuthError, event: Event, current: invocation.Invocation) -> dict[str, Any]:
        event = event if isinstance(event, dict) else {}
        if error.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _refused_push(event, current, error)
        return _logged(_answer(error.problem.status, None, ""), event, current, error)

    return _shell(handle, serve, refuse)


def authorizer(authorize: Callable[[str, Backend], Mapping[str, object]]) -> LambdaHandler:
    """Make a Lambda authorizer of a function from a session token to the context it yields.

    What is no text in the context goes out as JSON: a Lambda function could get objects, but an
    HTTP header, which API Gateway makes of the context for other integrations, could not.

    What is not about the token (a table that cannot be read) is raised, so that API Gateway
    answers 500 and not "forbidden".
    Source: payload format 2.0 and simple response (AWS, "Control access to HTTP APIs with AWS
    Lambda authorizers").
    """

    def serve(event: Event, made: Backend, _: invocation.Invocation) -> dict[str, Any]:
        if (remedy := mistakes.of_event(event)) or "headers" not in (event or {}):
            raise misconfigured(remedy or mistakes.PING)
        token = bearer_token(_headers(event).get("authorization", ""))
        context = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in authorize(token, made).items()
        }
        return {"isAuthorized": True, "context": context}

    def refuse(error: AuthError, _: Event, __: invocation.Invocation) -> dict[str, Any]:
        if error.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return {"isAuthorized": False}
        raise error

    return _shell(authorize, serve, refuse)


def invoked(answer: Callable[[Event, Backend], dict[str, Any]]) -> LambdaHandler:
    """Make a Lambda handler for those whom IAM allows to invoke it; what fails is raised.

    The payload is one JSON object; Lambda tells the caller of an error its text, which holds
    nothing that was sent.
    """

    def serve(event: Event, made: Backend, _: invocation.Invocation) -> dict[str, Any]:
        if not isinstance(event, dict):
            raise invalid_field("payload", "must be a JSON object")
        return answer(event, made)

    def refuse(error: AuthError, _: Event, __: invocation.Invocation) -> dict[str, Any]:
        raise error

    return _shell(answer, serve, refuse)


def queued(work: Callable[[Event, Backend], None]) -> LambdaHandler:
    """Make a Lambda handler that works off the messages of a queue, each one JSON object.

    What fails is logged, and named in the answer, so that the queue brings it again
    (ReportBatchItemFailures; AWS, "Handling errors for an SQS event source in Lambda").
    """

    def serve(event: Event, made: Backend, current: invocation.Invocation) -> dict[str, Any]:
        failed = []
        for record in event["Records"]:
            try:
                work(json.loads(record["body"]), made)
            except Exception as caught:  # noqa: BLE001  the others are worked off all the same
                _as_auth_error(caught, current.request_id)
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    def refuse(error: AuthError, _: Event, __: invocation.Invocation) -> dict[str, Any]:
        raise error

    return _shell(work, serve, refuse)


def scheduled(work: Callable[[Backend], dict[str, Any]]) -> LambdaHandler:
    """Make a Lambda handler of work that no request asks for; what fails is raised."""

    def serve(_: Event, made: Backend, __: invocation.Invocation) -> dict[str, Any]:
        return work(made)

    def refuse(error: AuthError, _: Event, __: invocation.Invocation) -> dict[str, Any]:
        raise error

    return _shell(work, serve, refuse)


def _shell(
    wrapped: Callable[..., Any],
    serve: Callable[[Event, Backend, invocation.Invocation], dict[str, Any]],
    refuse: Callable[[AuthError, Event, invocation.Invocation], dict[str, Any]],
) -> LambdaHandler:
    """Serve within an invocation; whatever is raised becomes our error, logged and refused."""

    @wraps(wrapped)
    def handler(
        event: Event,
        context: invocation.LambdaContext,
        make_backend: Callable[[], Backend] = backend,
    ) -> dict[str, Any]:
        with invocation.serving(context, _request_id(event)) as current:
            try:
                return serve(event, make_backend(), current)
            except Exception as caught:  # noqa: BLE001  nothing may reach the client as it is
                error = _as_auth_error(caught, current.request_id)
            return refuse(error, event, current)

    return handler


def _is_request(event: Event) -> bool:
    """Tell whether an event is an HTTP API's; an invocation may bring any JSON."""
    if not isinstance(event, dict) or event.get("version") != "2.0":
        return False
    return "http" in (event.get("requestContext") or {})


def _not_served(event: Event, current: invocation.Invocation) -> dict[str, Any]:
    """Answer what is no request of an HTTP API; a ping or a test is nobody's fault."""
    if remedy := mistakes.of_event(event):
        raise misconfigured(remedy)
    fields = {"requestId": current.request_id, "remedy": mistakes.PING}
    invocation.logger.warning("not an HTTP request", extra=fields)
    return {"statusCode": HTTPStatus.BAD_REQUEST.value, "headers": {}}


def _refused_push(
    event: Event, current: invocation.Invocation, error: AuthError | None = None
) -> dict[str, Any]:
    invocation.count("PushesRefused")
    return _logged(_answer(HTTPStatus.FORBIDDEN, None, ""), event, current, error)


def _no_such_route(event: Event) -> AuthError:
    http = event["requestContext"]["http"]
    return AuthError(NO_SUCH_ROUTE, mistakes.of_route(http["method"], event["rawPath"]))


def _require_edge(request: Request, expected: str) -> None:
    """Refuse what did not come through the edge, if there is one (infra/edge.yaml)."""
    given = request.headers.get("x-origin-secret", "").encode("utf-8", "surrogatepass")
    if expected and not hmac.compare_digest(hashlib.sha256(given).hexdigest(), expected):
        raise AuthError(WRONG_ADDRESS)


def _request_id(event: object) -> str | None:
    """Return API Gateway's id of a request; whoever invokes a function may send anything."""
    request = event.get("requestContext") if isinstance(event, dict) else None
    return request.get("requestId") if isinstance(request, dict) else None


def _logged(
    answer: dict[str, Any],
    event: Event,
    current: invocation.Invocation,
    error: AuthError | None = None,
) -> dict[str, Any]:
    """Write the request's log line."""
    invocation.logger.info(
        "request",
        extra={
            "route": event.get("routeKey"),
            "status": answer["statusCode"],
            "ms": round((time.perf_counter() - current.began) * 1000, 1),
            "requestId": current.request_id,
            "code": error.problem.code if error else None,
            "errcode": error.errcode if error else None,
            "rid": error.rid if error else None,
        },
    )
    return answer


def bearer_token(authorization: str) -> str:
    """Take the token out of an Authorization header's value.

    Raises:
        AuthError: ``session_invalid`` if it holds no token; ``invalid_request`` if it is no Bearer
            token, which no new login would mend.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and _B64TOKEN.fullmatch(token.strip()):
        return token.strip()
    if mistake := mistakes.of_authorization(authorization):
        raise invalid_field("Authorization", mistake)
    raise AuthError(SESSION_INVALID)


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
    if error.remedy or error.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        invocation.log_fault(error)
    return error


def _problem(error: AuthError, event: Event, request_id: str) -> dict[str, Any]:
    problem = error.problem
    english = prefers_english(_headers(event).get("accept-language", ""))
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
    language: str | None = "en" if english else "zh-CN"
    if isinstance(error, AccountRefusedError):
        if error.title:
            body["title"], language = error.title, None  # in whatever language it is
        if error.code:
            body["accountCode"] = error.code
    answer = _answer(problem.status, body, "application/problem+json")
    if language:
        answer["headers"]["Content-Language"] = language
    if error.retry_after is not None:
        answer["headers"]["Retry-After"] = str(error.retry_after)
    if challenge := _CHALLENGES.get(problem.code):
        answer["headers"]["WWW-Authenticate"] = challenge
    return answer


def _answer(status: int, body: Mapping[str, Any] | None, media_type: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"statusCode": status, "headers": {"Cache-Control": "no-store"}}
    if body is not None:
        answer["headers"]["Content-Type"] = f"{media_type}; charset=utf-8"
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Two line separators end a line in the JavaScript of old phones; UTF-8 has no lone
        # surrogates (half an emoji in a nickName). All of them go out as JSON escapes.
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        answer["body"] = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return answer


def _headers(event: Event) -> dict[str, str]:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return headers | ({"cookie": "; ".join(event["cookies"])} if event.get("cookies") else {})
