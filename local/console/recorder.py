"""Functions and WeChat as they are, but each message they exchange goes to the feed.

A function serves a request in a thread of its own, so whatever that thread asks belongs to the
request: AWS is watched through botocore's events, WeChat as it answers.
"""

import io
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest

from local.console import explanation, masking
from local.console.feed import Feed, Kind, Lane, Message
from local.runtime import Call, Context, Environment, Handler, Runtime
from local.simulated_wechat import App, SimulatedWeChat
from local.simulated_wechat.answer import Answer as WeChatAnswer
from local.simulated_wechat.endpoints import BY_PATH
from local.simulated_wechat.request import Request
from local.template import Application
from wechat_auth.connections import Answer, Connections, TransportError
from wechat_auth.settings import Settings
from wechat_auth.wechat import WeChat


@dataclass(slots=True)
class Serving:
    """A function at work for one request, and what it is asking AWS at the moment."""

    request: str
    function: str
    began: float = 0.0
    body: bytes = b""
    got: bytes = b""


_serving: ContextVar[Serving | None] = ContextVar("serving", default=None)

_LANES: dict[str, Lane] = {
    "dynamodb": "dynamodb",
    "secrets-manager": "secretsmanager",
    "sqs": "sqs",
    "lambda": "lambda",
}

_Asked = tuple[str, str, tuple[tuple[str, str], ...], bytes]


class WatchedWeChat(SimulatedWeChat):
    """A simulated WeChat that tells the feed of each call, and whose request it belongs to."""

    def __init__(self, apps: Iterable[App], feed: Feed) -> None:
        super().__init__(apps)
        self._feed = feed
        self._asking: defaultdict[_Asked, list[Serving]] = defaultdict(list)
        self._lock = threading.Lock()

    @contextmanager
    def asked_by(self, serving: Serving | None, request: Request) -> Iterator[None]:
        """Let a request that is about to arrive belong to `serving`."""
        if serving is None:
            yield
            return
        with self._lock:
            self._asking[_asked(request)].append(serving)
        try:
            yield
        finally:
            with self._lock:
                waiting = self._asking.get(_asked(request), [])
                if serving in waiting:  # it never arrived
                    waiting.remove(serving)
                if not waiting:
                    self._asking.pop(_asked(request), None)

    def answer(self, request: Request) -> WeChatAnswer:
        """Answer one request and tell the feed."""
        began = time.perf_counter()
        with self._lock:
            waiting = self._asking.get(_asked(request))
            serving = waiting.pop(0) if waiting else None
        reply = super().answer(request)
        if serving:
            endpoint = BY_PATH.get(request.path)
            sent = masking.shown(dict(request.query))
            if request.body:
                body = masking.shown_json(request.body)
                sent |= body if isinstance(body, dict) else {"body": body}
            got = None if reply.drop else masking.shown_json(reply.body)
            errcode = got.get("errcode", 0) if isinstance(got, dict) else "no JSON"
            if reply.sealed and isinstance(got, dict):
                sent["opened"] = masking.shown(reply.sealed.asked)
                got["opened"] = masking.shown(reply.sealed.answered)
                errcode = reply.sealed.answered.get("errcode", 0)
            self._feed.publish(
                Message(
                    "call",
                    "wechat",
                    endpoint.name if endpoint else masking.plain(request.path),
                    serving.request,
                    serving.function,
                    sent=sent,
                    got=got,
                    status=None if reply.drop else reply.status,
                    outcome="no answer" if reply.drop else str(errcode or ""),
                    milliseconds=(time.perf_counter() - began + reply.delay) * 1000,
                )
            )
        return reply


def recorded(
    application: Application, environment: Environment, wechat: WatchedWeChat | None, feed: Feed
) -> Runtime:
    """Return the functions, telling the feed what each is asked, asks and answers.

    Args:
        application: What the functions are.
        environment: What they share.
        wechat: The simulated WeChat that they ask, or None for the real one.
        feed: Is told.
    """
    recorder = Recorder(application, feed)
    clients = [environment.aws.dynamodb, environment.aws.secrets_manager, environment.aws.sqs]
    if application.environment["ACCOUNT_FUNCTION_ARN"]:
        clients.append(environment.aws.lambda_)
    for client in clients:
        client.meta.events.register("before-send", recorder.before_send)
        client.meta.events.register("before-parse", recorder.before_parse)
        client.meta.events.register("response-received", recorder.response_received)
    base_urls = Settings.from_env(application.environment).wechat_base_urls
    environment.keep(wechat=WeChat(base_urls, _Connections(wechat) if wechat else _Watched(feed)))
    return Runtime(application, partial(recorder.call, environment.call))


class Recorder:
    """Tells the feed of each request to a function, and of its calls to AWS.

    Args:
        application: Names functions, tables and secrets.
        feed: Is told.
    """

    def __init__(self, application: Application, feed: Feed) -> None:
        self._feed = feed
        self._functions = {
            function.function_name: name for name, function in application.functions.items()
        }
        self._names = {table.name: table.logical_id for table in application.tables} | {
            secret.name: secret.logical_id for secret in application.secrets
        }
        self._names |= {queue.url: queue.name for queue in application.queues}

    def call(self, call: Call, handler: Handler, event: Any, context: Context) -> Any:
        """Call a handler and tell the feed, if it serves a request or works off a queue."""
        asked = event.get("requestContext", {})
        function = self._functions[context.function_name]
        if "Records" in event:
            serving = Serving(event["Records"][0]["messageId"], function)
            _serving.set(serving)
            self._feed.publish(Message("work", "api", function, serving.request, function))
        if "requestId" not in asked:
            return call(handler, event, context)
        serving = Serving(asked["requestId"], function)
        _serving.set(serving)  # for this thread, which serves no other request
        pushed = "/wechat-push/" in event["routeKey"]
        begin: Kind = "push" if pushed else "request"
        end: Kind = "heard" if pushed else "answer"
        lane: Lane = "wechat" if pushed else "api"
        http = asked["http"]
        name = event["routeKey"] if pushed else f"{http['method']} {http['path']}"
        message = partial(Message, lane=lane, name=name, request=serving.request, function=function)
        self._feed.publish(message(begin, sent=_sent(event)))
        began = time.perf_counter()
        try:
            result = call(handler, event, context)
        except BaseException:
            self._feed.publish(message(end, status=500, outcome="raised"))
            raise
        text = result.get("body") or ""
        got: Any = masking.plain(text) if pushed else masking.shown_json(text)
        outcome = got.get("code", "") if isinstance(got, dict) and "action" in got else ""
        self._feed.publish(
            message(
                end,
                got=got,
                status=result.get("statusCode"),
                outcome=outcome,
                explained=explanation.of_problem(outcome, got["detail"]) if outcome else None,
                milliseconds=(time.perf_counter() - began) * 1000,
            )
        )
        return result

    def before_send(self, request: AWSPreparedRequest, **_: object) -> None:
        """Remember what a function is about to ask AWS."""
        if serving := _serving.get():
            serving.began = time.perf_counter()
            body = request.body
            serving.body = body if isinstance(body, bytes) else str(body or "").encode()

    def before_parse(self, response_dict: dict[str, Any], **_: object) -> None:
        """Keep what came back; what Lambda's Invoke brings is a stream, which is read once."""
        body = response_dict["body"]
        content = body if isinstance(body, bytes) else body.read()
        if serving := _serving.get():
            serving.got = content
        if body is not content:
            response_dict["body"] = io.BytesIO(content)

    def response_received(
        self,
        event_name: str,
        response_dict: Mapping[str, Any] | None,
        parsed_response: Mapping[str, Any] | None,
        **_: object,
    ) -> None:
        """Tell the feed what a function asked AWS, and what came back."""
        serving = _serving.get()
        if serving is None:
            return
        service, operation = event_name.split(".")[1:]
        lane = _LANES[service]
        sent = _json(serving.body)
        asked = sent.get("TableName") or sent.get("SecretId") or sent.get("QueueUrl")
        target = self._names.get(str(asked), "")
        for name in ("TableName", "SecretId", "QueueUrl"):
            if name in sent:
                sent[name] = target
        got = _json(serving.got) if response_dict else {}
        answered: Mapping[str, Any] = parsed_response or {"Error": {"Code": "no answer"}}
        outcome = answered.get("FunctionError") or answered.get("Error", {}).get("Code", "")
        show = masking.shown if lane == "lambda" else masking.shown_items
        self._feed.publish(
            Message(
                "call",
                lane,
                operation,
                serving.request,
                serving.function,
                "AccountFunction" if lane == "lambda" else target,
                sent=show(sent),
                got=show(got),
                status=response_dict["status_code"] if response_dict else None,
                outcome=masking.plain(str(outcome)),
                milliseconds=(time.perf_counter() - serving.began) * 1000,
            )
        )


class _Connections(Connections):
    """Connections to WeChat that say for whom each request is."""

    def __init__(self, wechat: WatchedWeChat) -> None:
        super().__init__()
        self._wechat = wechat

    def request(self, method: str, url: str, *, body: bytes | None = None, **more: Any) -> Answer:
        address = urlsplit(url)
        asked = Request.parse(method, f"{address.path}?{address.query}", body or b"", "")
        with self._wechat.asked_by(_serving.get(), asked):
            return super().request(method, url, body=body, **more)


class _Watched(Connections):
    """Connections to the real WeChat that tell the feed of each call."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed

    def request(self, method: str, url: str, *, body: bytes | None = None, **more: Any) -> Answer:
        began = time.perf_counter()
        try:
            answer = super().request(method, url, body=body, **more)
        except TransportError:
            self._tell(method, url, body, None, began)
            raise
        self._tell(method, url, body, answer, began)
        return answer

    def _tell(
        self, method: str, url: str, body: bytes | None, answer: Answer | None, began: float
    ) -> None:
        serving = _serving.get()
        if serving is None:
            return
        address = urlsplit(url)
        asked = Request.parse(method, f"{address.path}?{address.query}", body or b"", "")
        endpoint = BY_PATH.get(asked.path)
        name = endpoint.name if endpoint else masking.plain(asked.path)
        got = masking.shown_json(answer.content) if answer else None
        said = got if isinstance(got, dict) else {}
        errcode = said.get("errcode") or 0
        self._feed.publish(
            Message(
                "call",
                "wechat",
                name,
                serving.request,
                serving.function,
                sent=masking.shown(dict(asked.query)) | _body(masking.shown_json(asked.body)),
                got=got,
                status=answer.status if answer else None,
                outcome=str(errcode or "") if answer else "no answer",
                explained=explanation.of_errcode(name, errcode, str(said.get("errmsg"))),
                milliseconds=(time.perf_counter() - began) * 1000,
            )
        )


def _asked(request: Request) -> _Asked:
    """What tells one request from another on both ends of the wire."""
    return request.method, request.path, tuple(sorted(request.query.items())), request.body


def _json(content: bytes) -> dict[str, Any]:
    document = json.loads(content or b"{}")
    return document if isinstance(document, dict) else {"body": document}


def _sent(event: Mapping[str, Any]) -> Any:
    """What a client sent: its session, query and body."""
    sent: dict[str, Any] = {}
    if authorization := event["headers"].get("authorization"):
        sent["Authorization"] = masking.shown(authorization, "Authorization")
    sent |= masking.shown(event.get("queryStringParameters") or {})
    return sent | _body(masking.shown_json(event.get("body") or ""))


def _body(body: Any) -> dict[str, Any]:
    """What is shown of a body, by names."""
    return body if isinstance(body, dict) else {"body": body} if body else {}
