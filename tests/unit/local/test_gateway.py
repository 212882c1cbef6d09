import base64
import http.client
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.gateway import Gateway, Served
from local.runtime import FunctionError, FunctionTimeoutError, Runtime
from local.template import TemplateError, read_template

TEMPLATE = """
Globals:
  Function: {Handler: app.handler, Timeout: 5, MemorySize: 256}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Guard:
            FunctionArn: !GetAtt GuardFunction.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: {Headers: [Authorization]}
  GuardFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: guard}
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: echo
      Events:
        Post: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /echo}}
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /echo}}
        Guarded:
          Type: HttpApi
          Properties:
            {ApiId: !Ref Api, Method: GET, Path: /guarded, Auth: {Authorizer: Guard}}
  AnswerFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: answer
      Layers: [!Ref Layer]
      Events:
        Post: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /answer}}
  SlowFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: slow
      Timeout: 0
      Events:
        Post: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /slow}}
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer}
"""

HANDLERS = {
    "echo": """
        def handler(event, context):
            names = ("function_name", "memory_limit_in_mb", "invoked_function_arn",
                     "function_version", "log_group_name")
            lambda_context = {name: getattr(context, name) for name in names}
            lambda_context["remaining"] = context.get_remaining_time_in_millis()
            return {"event": event, "context": lambda_context}
    """,
    "answer": """
        import json
        from fixture_layer import greeting

        def handler(event, context):
            program = event["body"] if isinstance(event, dict) else event
            return eval(program, {"json": json, "greeting": greeting})
    """,
    "slow": """
        import threading

        released = threading.Event()

        def handler(event, context):
            released.wait()
    """,
    "guard": """
        def handler(event, context):
            token = event["headers"]["authorization"]
            if token == "broken":
                raise RuntimeError
            if token == "vague":
                return {"isAuthorized": "yes"}
            return {"isAuthorized": token == "good", "context": {"seen": event}}
    """,
}

LAYER = """
    greeting = "hello"
"""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Api:
    gateway: Gateway
    runtime: Runtime
    served: list[Served]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> Reply:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        address = urlsplit(self.gateway.url)
        with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
            connection.putrequest(method, path, skip_host="Host" in dict(pairs))
            for name, value in pairs:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def answer(self, program: str) -> Reply:
        return self.request("POST", "/answer", program.encode(), {"Content-Type": "text/plain"})

    def event(self, *args: Any, **keywords: Any) -> Any:
        return self.request(*args, **keywords).json()["event"]


def write_application(folder: Path) -> Path:
    for name, source in HANDLERS.items():
        (folder / name).mkdir()
        (folder / name / "app.py").write_text(textwrap.dedent(source), "utf-8")
    (folder / "layer/fixture_layer").mkdir(parents=True)
    (folder / "layer/fixture_layer/__init__.py").write_text(textwrap.dedent(LAYER), "utf-8")
    template = folder / "template.yaml"
    template.write_text(TEMPLATE, "utf-8")
    return template


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    application = read_template(
        write_application(tmp_path_factory.mktemp("application")), stack_name="s"
    )
    served: list[Served] = []
    with ExitStack() as stack:
        runtime = stack.enter_context(Runtime(application))
        gateway = stack.enter_context(Gateway(application, runtime, on_request=served.append))
        yield Api(gateway, runtime, served)


# ----------------------------------------------------------------------------- the event


def test_an_event_has_the_members_of_payload_format_2_0(api: Api) -> None:
    event = api.event(
        "POST",
        "/echo?a=1&a=2&b=x%20y&c=",
        b'{"code":1}',
        {"Content-Type": "application/json", "User-Agent": "test/1", "Host": "api.test:3000"},
    )
    assert list(event) == [
        "version",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "headers",
        "queryStringParameters",
        "requestContext",
        "body",
        "isBase64Encoded",
    ]
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /echo"
    assert event["rawPath"] == "/echo"
    assert event["rawQueryString"] == "a=1&a=2&b=x%20y&c="
    assert event["queryStringParameters"] == {"a": "1,2", "b": "x y", "c": ""}
    assert event["body"] == '{"code":1}'
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert list(context) == [
        "accountId",
        "apiId",
        "domainName",
        "domainPrefix",
        "http",
        "requestId",
        "routeKey",
        "stage",
        "time",
        "timeEpoch",
    ]
    assert context["domainName"] == "api.test"
    assert context["domainPrefix"] == "api"
    assert context["http"] == {
        "method": "POST",
        "path": "/echo",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test/1",
    }
    assert context["stage"] == "$default"
    assert context["routeKey"] == "POST /echo"


def test_what_is_empty_is_absent(api: Api) -> None:
    event = api.event("GET", "/echo")
    assert event.keys().isdisjoint({"body", "cookies", "queryStringParameters", "pathParameters"})
    assert event["rawQueryString"] == ""
    assert event["isBase64Encoded"] is False


def test_header_names_are_lower_cased_and_repeated_headers_joined(api: Api) -> None:
    event = api.event("GET", "/echo", headers=[("X-One", "1"), ("x-ONE", "2"), ("X-Two", "3")])
    assert event["headers"]["x-one"] == "1,2"
    assert event["headers"]["x-two"] == "3"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert all(name == name.lower() for name in event["headers"])


def test_cookies_stand_apart_from_headers(api: Api) -> None:
    event = api.event("GET", "/echo", headers={"Cookie": "a=1; b=2"})
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "text/plain", "application/xml"],
)
def test_a_text_body_arrives_as_it_is(api: Api, content_type: str) -> None:
    event = api.event("POST", "/echo", "号码".encode(), {"Content-Type": content_type})
    assert (event["body"], event["isBase64Encoded"]) == ("号码", False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "application/problem+json"},
    ],
)
def test_any_other_body_arrives_in_base64(api: Api, headers: dict[str, str]) -> None:
    event = api.event("POST", "/echo", b"\x00\xff{}", headers)
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\x00\xff{}"


def test_the_path_is_decoded_before_it_is_matched(api: Api) -> None:
    assert api.event("GET", "/%65cho")["rawPath"] == "/echo"


def test_the_lambda_context_tells_about_the_function(api: Api) -> None:
    context = api.request("GET", "/echo").json()["context"]
    assert 4000 < context.pop("remaining") <= 5000
    assert context == {
        "function_name": "EchoFunction",
        "memory_limit_in_mb": "256",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:EchoFunction",
        "function_version": "$LATEST",
        "log_group_name": "/aws/lambda/EchoFunction",
    }


# ----------------------------------------------------------------------------- the answer


def test_a_result_without_status_code_is_the_body(api: Api) -> None:
    reply = api.answer('{"a": 1}')
    assert (reply.status, reply.json()) == (200, {"a": 1})
    assert reply.headers["content-type"] == "application/json"


def test_a_text_result_is_the_body_as_it_is(api: Api) -> None:
    assert api.answer('"hello"').body == b"hello"


def test_status_headers_cookies_and_body_are_passed_on(api: Api) -> None:
    reply = api.answer(
        '{"statusCode": 418, "headers": {"Content-Type": "text/x", "X-Number": 1},'
        ' "cookies": ["a=1; Secure", "b=2"], "body": "号"}'
    )
    assert reply.status == 418
    assert reply.headers["content-type"] == "text/x"
    assert reply.headers["x-number"] == "1"
    assert reply.headers.get_all("set-cookie") == ["a=1; Secure", "b=2"]
    assert reply.body == "号".encode()


def test_a_base64_body_is_decoded(api: Api) -> None:
    reply = api.answer('{"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}')
    assert reply.body == b"\x00\xff"


def test_an_answer_without_content_has_none(api: Api) -> None:
    reply = api.answer('{"statusCode": 204, "headers": {"Cache-Control": "no-store"}}')
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] is None


@pytest.mark.parametrize(
    "program",
    [
        "1 / 0",
        "(_ for _ in ()).throw(SystemExit)",
        "{1, 2}",
        '{"statusCode": "many"}',
        '{"statusCode": 99}',
        '{"statusCode": None}',
        '{"statusCode": 200, "body": {"a": 1}}',
        '{"statusCode": 200, "headers": ["a"]}',
        '{"statusCode": 200, "headers": {"a": None}}',
        '{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}',
        '{"statusCode": 200, "cookies": "a=1", "body": "b", "isBase64Encoded": True}',
    ],
)
def test_an_exception_or_a_malformed_answer_is_500(api: Api, program: str) -> None:
    reply = api.answer(program)
    assert (reply.status, reply.json()) == (500, {"message": "Internal Server Error"})


def test_a_function_that_runs_past_its_time_out_is_503(api: Api) -> None:
    reply = api.request("POST", "/slow")
    assert (reply.status, reply.json()) == (503, {"message": "Service Unavailable"})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/answer"), ("POST", "/echo/"), ("OPTIONS", "/echo"), ("GET", "/Echo")],
)
def test_an_unknown_route_is_404(api: Api, method: str, path: str) -> None:
    reply = api.request(method, path)
    assert (reply.status, reply.json()) == (404, {"message": "Not Found"})


def test_a_body_over_the_quota_is_413_and_reaches_no_function(api: Api) -> None:
    address = urlsplit(api.gateway.url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
        connection.putrequest("POST", "/echo")
        connection.putheader("Content-Length", str(10 * 1024 * 1024 + 1))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert json.loads(response.read()) == {"message": "Request Entity Too Large"}


# ----------------------------------------------------------------------------- authorizers


def test_without_identity_the_authorizer_is_not_asked(api: Api) -> None:
    for headers in ({}, {"Authorization": ""}):
        reply = api.request("GET", "/guarded", headers=headers)
        assert (reply.status, reply.json()) == (401, {"message": "Unauthorized"})


def test_a_refused_request_is_403(api: Api) -> None:
    reply = api.request("GET", "/guarded", headers={"Authorization": "bad"})
    assert (reply.status, reply.json()) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize("token", ["broken", "vague"])
def test_an_authorizer_that_fails_is_500(api: Api, token: str) -> None:
    reply = api.request("GET", "/guarded", headers={"Authorization": token})
    assert (reply.status, reply.json()) == (500, {"message": "Internal Server Error"})


def test_the_authorizers_context_reaches_the_function(api: Api) -> None:
    event = api.event("GET", "/guarded?x=1", headers={"Authorization": "good"})
    asked = event["requestContext"]["authorizer"]["lambda"]["seen"]
    assert asked["type"] == "REQUEST"
    assert asked["version"] == "2.0"
    assert asked["identitySource"] == ["good"]
    assert asked["routeKey"] == "GET /guarded"
    assert asked["queryStringParameters"] == {"x": "1"}
    assert asked["routeArn"] == (
        "arn:aws:execute-api:us-east-1:123456789012:local/$default/GET/guarded"
    )
    assert asked["requestContext"]["requestId"] == event["requestContext"]["requestId"]
    assert "body" not in asked


# ----------------------------------------------------------------------------- around it


def test_each_answer_is_told_with_its_problem_code(api: Api) -> None:
    api.served.clear()
    reply = api.answer(
        '{"statusCode": 400, "headers": {"Content-Type": "application/problem+json"},'
        ' "body": json.dumps({"code": "invalid_request"})}'
    )
    api.request("GET", "/nowhere?secret=1")
    first, second = api.served
    assert (first.method, first.path, first.status) == ("POST", "/answer", 400)
    assert first.code == "invalid_request"
    assert first.request_id == reply.headers["apigw-requestid"]
    assert (second.path, second.status, second.code) == ("/nowhere", 404, None)


def test_an_invocation_says_what_went_wrong(api: Api) -> None:
    with pytest.raises(FunctionError, match="answer raised ZeroDivisionError"):
        api.runtime.invoke("answer", "1 / 0")
    with pytest.raises(FunctionTimeoutError, match="slow timed out after 0 seconds"):
        api.runtime.invoke("slow", {})


@pytest.mark.parametrize(
    ("handler", "message"),
    [("api.handler", "is not there"), ("app.handle", "has no function handle")],
)
def test_a_handler_that_is_not_there_is_named(tmp_path: Path, handler: str, message: str) -> None:
    path = write_application(tmp_path)
    path.write_text(TEMPLATE.replace("app.handler", handler), "utf-8")
    application = read_template(path)
    with pytest.raises(TemplateError, match=message):
        Runtime(application).__enter__()
