"""An HTTP front that treats functions as an API Gateway HTTP API does.

Sources: Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs"
and "Control access to HTTP APIs with AWS Lambda authorizers", payload format version 2.0.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.runtime import FunctionError, Functions, FunctionTimeoutError
from local.template import ACCOUNT_ID, DEFAULT, REGION, Application, Authorizer, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API_ID = "local"
_STATUSES = range(100, 600)
_DEFAULT_TYPE = "text/plain;charset=UTF-8"
MAX_BODY = 10 * 1024 * 1024
"""Payload quota of an HTTP API, in bytes; more is answered 413."""


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was answered.

    Attributes:
        method: Such as "POST".
        path: Without the query.
        status: The HTTP status.
        milliseconds: From the request's arrival to the answer.
        request_id: API Gateway's id of the request, also in the header apigw-requestid.
        code: `code` of the problem document, if the answer was one.
    """

    method: str
    path: str
    status: int
    milliseconds: float
    request_id: str
    code: str | None


class Gateway:
    """The HTTP API of an application; a context manager that serves.

    Args:
        application: Has the routes and authorizers.
        functions: Run its functions.
        port: To listen on; 0 takes a free one.
        host: The address to listen on.
        on_request: Called after each answer, by the thread that gave it.
        front: Makes what is between the port and the API, if anything is.

    Attributes:
        url: Where it listens, such as "http://127.0.0.1:3000".
    """

    def __init__(
        self,
        application: Application,
        functions: Functions,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        on_request: Callable[[Served], None] | None = None,
        front: "Callable[[WSGIApplication], WSGIApplication] | None" = None,
    ) -> None:
        # Those without values in their paths come first, as API Gateway prefers them.
        self._routes = sorted(application.routes, key=lambda route: "{" in route.path)
        self._authorizers = application.authorizers
        self._functions = functions
        self._on_request = on_request
        self._server = make_server(
            host, port, front(self) if front else self, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="gateway")
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        started = time.perf_counter()
        request = Request(environ)
        request.max_content_length = MAX_BODY
        request_id = base64.b64encode(os.urandom(11)).decode()
        response = self._answer(request, request_id)
        response.headers["apigw-requestid"] = request_id
        if self._on_request:
            served = Served(
                method=request.method,
                path=request.path,
                status=response.status_code,
                milliseconds=(time.perf_counter() - started) * 1000,
                request_id=request_id,
                code=_problem_code(response),
            )
            self._on_request(served)
        return response(environ, start_response)

    def _answer(self, request: Request, request_id: str) -> Response:
        try:
            body = request.get_data()
        except RequestEntityTooLarge:
            return _message(413, "Request Entity Too Large")
        route, values = self._route(request)
        if route is None:
            return _message(404, "Not Found")
        event = proxy_event(request, body, route=route, request_id=request_id)
        if values:
            event["pathParameters"] = values
        if route.authorizer is not None:
            granted = self._authorize(self._authorizers[route.authorizer], event)
            if isinstance(granted, Response):
                return granted
            event["requestContext"]["authorizer"] = {"lambda": granted}
        try:
            return proxy_response(self._functions.invoke(route.function, event))
        except FunctionTimeoutError:
            return _message(503, "Service Unavailable")
        except (FunctionError, MalformedResponseError):
            return _message(500, "Internal Server Error")

    def _route(self, request: Request) -> tuple[Route | None, dict[str, str]]:
        for route in self._routes:
            values = route.values(request.path) if route.method == request.method else None
            if values is not None:
                return route, values
        return next((route for route in self._routes if route.path == DEFAULT), None), {}

    def _authorize(
        self, authorizer: Authorizer, event: Mapping[str, Any]
    ) -> dict[str, Any] | Response:
        """Return the authorizer's context, or the answer that ends the request."""
        identity = [event["headers"].get(header, "") for header in authorizer.headers]
        if not all(identity):
            return _message(401, "Unauthorized")
        asked = authorizer_event(event, identity)
        try:
            result = self._functions.invoke(authorizer.function, asked)
        except FunctionError:
            return _message(500, "Internal Server Error")
        match result:
            case {"isAuthorized": True}:
                return result.get("context") or {}
            case {"isAuthorized": False}:
                return _message(403, "Forbidden")
        return _message(500, "Internal Server Error")


class MalformedResponseError(Exception):
    """A function returned what API Gateway cannot turn into an HTTP response."""


def proxy_event(request: Request, body: bytes, *, route: Route, request_id: str) -> dict[str, Any]:
    """Make the event that API Gateway sends to a function, payload format version 2.0.

    Header names are lower-cased, repeated ones joined with commas; cookies are a member of
    their own. What is empty (cookies, query, body) is absent.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    cookies = [part for part in headers.pop("cookie", "").split("; ") if part]
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    source_ip = request.remote_addr or ""
    headers |= {
        "x-amzn-trace-id": f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}",
        "x-forwarded-for": source_ip,
        "x-forwarded-port": request.environ["SERVER_PORT"],
        "x-forwarded-proto": request.scheme,
    }
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode("latin-1"),
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if request.args:
        event["queryStringParameters"] = {
            name: ",".join(values) for name, values in request.args.lists()
        }
    event["requestContext"] = {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.environ["SERVER_PROTOCOL"],
            "sourceIp": source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    text = _is_text(request.mimetype)
    if body:
        event["body"] = body.decode("utf-8", "replace") if text else base64.b64encode(body).decode()
    event["isBase64Encoded"] = bool(body) and not text
    return event


def authorizer_event(event: Mapping[str, Any], identity: list[str]) -> dict[str, Any]:
    """Make the event of a Lambda authorizer, payload format version 2.0, from a request's."""
    key = event["routeKey"].replace(" ", "", 1)
    kept = {name: value for name, value in event.items() if name not in {"body", "isBase64Encoded"}}
    return kept | {
        "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/$default/{key}",
        "identitySource": identity,
    }


def proxy_response(result: object) -> Response:
    """Turn what a function returned into an HTTP response, by the rules of format 2.0.

    Without a statusCode the result itself is the body, 200 and application/json.

    Raises:
        MalformedResponseError: API Gateway would answer 500.
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        text = result if isinstance(result, str) else json.dumps(result)
        return Response(text, 200, content_type="application/json")
    status, body = result["statusCode"], result.get("body") or ""
    headers, cookies = result.get("headers") or {}, result.get("cookies") or []
    try:
        content = body.encode()
        if result.get("isBase64Encoded"):
            content = base64.b64decode(body, validate=True)
        response = Response(content, _status(status), content_type=_DEFAULT_TYPE)
        if not content:
            del response.headers["content-type"]
        for name, value in headers.items():
            response.headers[name] = _header(value)
        for cookie in cookies:
            response.headers.add("set-cookie", _header(cookie))
    except (AttributeError, TypeError, ValueError) as error:
        raise MalformedResponseError from error
    return response


def _status(value: object) -> int:
    if isinstance(value, int | str) and int(value) in _STATUSES:
        return int(value)
    raise ValueError("a statusCode is a number from 100 to 599")


def _header(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError("a header's value is text or a number")


def _is_text(mimetype: str) -> bool:
    """Whether a body of this type reaches a function as it is; any other comes in base64.

    The guide says only that binary bodies are encoded. In practice API Gateway leaves just these
    types as they are, so forms, +json types and bodies without a type are encoded.
    """
    return mimetype.startswith("text/") or mimetype in {
        "application/json",
        "application/javascript",
        "application/xml",
    }


def _message(status: int, message: str) -> Response:
    """An answer of the gateway's own."""
    text = json.dumps({"message": message}, separators=(",", ":"))
    return Response(text, status, content_type="application/json")


def _problem_code(response: Response) -> str | None:
    if response.mimetype != "application/problem+json":
        return None
    code = json.loads(response.get_data()).get("code")
    return str(code)


class _Quiet(WSGIRequestHandler):
    """No log lines and no server banner: `on_request` tells what happened."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        pass

    def version_string(self) -> str:
        return "local"
