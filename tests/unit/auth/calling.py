"""What API Gateway and Lambda hand to a handler, and what comes back."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from tests.harness.settings import REQUIRED
from wechat_auth import http
from wechat_auth.backend import Backend
from wechat_auth.http import Reply, Request
from wechat_auth.settings import Settings

REQUEST_ID = "JKJaXmPLvHcESHA="

Document = dict[str, Any]
Lines = Callable[[], list[Document]]


def endpoint(handle: Callable[[Request], Reply]) -> Callable[[Document, "Context"], Document]:
    """Make a Lambda handler that asks nothing of its backend."""
    backend = Backend(Settings.from_env(REQUIRED))
    handler = http.endpoint(wraps(handle)(lambda request, _: handle(request)))
    return lambda event, context: handler(event, context, lambda: backend)


def authorize(event: Document, context: "Context") -> Document:
    """Call a Lambda authorizer that lets every token through."""
    backend = Backend(Settings.from_env(REQUIRED))
    return http.authorizer(lambda token, _: {"token": token})(event, context, lambda: backend)


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context object, as far as it is used."""

    milliseconds: int = 10_000
    aws_request_id: str = "1f2e3d4c-5b6a-4798-8877-665544332211"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def event(
    body: str | bytes | None = None,
    *,
    method: str = "POST",
    path: str = "/login",
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> Document:
    """Make an event in payload format 2.0; bytes travel as base64."""
    content = {} if body is None else {"body": body}
    if isinstance(body, bytes):
        content = {"body": base64.b64encode(body).decode()}
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **(headers or {})},
        **({} if query is None else {"queryStringParameters": query}),
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1"},
            "requestId": REQUEST_ID,
            "routeKey": f"{method} {path}",
        },
        **content,
        "isBase64Encoded": isinstance(body, bytes),
    }


def document(answer: Document) -> Document:
    """Read an answer's body as strictly as JSON is defined, over UTF-8."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    read: Document = json.loads(answer["body"].encode("utf-8"), parse_constant=refuse)
    return read
