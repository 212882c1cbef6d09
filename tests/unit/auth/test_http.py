"""The HTTP shell: payload format 2.0 in, an answer or a problem document out, never a raise."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_auth.errors import (
    INVALID_REQUEST,
    MISCONFIGURED,
    NO_SUCH_ROUTE,
    PHONE_CODE_REJECTED,
    PROBLEMS,
    REQUEST_TOO_LARGE,
    SESSION_INVALID,
    TOO_MANY_FAILURES,
    WECHAT_UNAVAILABLE,
    AuthError,
    Problem,
    WeChatError,
    WeChatUnavailableError,
    misconfigured,
)
from wechat_auth.http import MAX_BODY, Reply, Request, bearer_token, prefers_english
from wechat_auth.mistakes import PING

from .calling import REQUEST_ID, Context, Document, Lines, authorize, document, endpoint, event

TOKEN = "AbCdEfGhIj" * 7


@endpoint
def names(request: Request) -> Reply:
    """Answer the body's names."""
    return Reply(200, {"names": list(request.body())})


@endpoint
def token(request: Request) -> Reply:
    """Answer the Bearer token."""
    return Reply(200, {"token": request.bearer()})


CHALLENGES = {"session_invalid": "Bearer", "client_invalid": 'Basic realm="introspection"'}


def raising(error: Exception) -> Callable[[Any, Any], Document]:
    @endpoint
    def handler(request: Request) -> Reply:
        raise error

    return handler


def answering(body: Document) -> Document:
    return endpoint(lambda _: Reply(200, body))(event(), Context())


def refused(answer: Document, problem: Problem) -> str:
    """Check a problem document whole, and return its detail."""
    body = document(answer)
    detail = str(body.pop("detail"))
    assert answer["statusCode"] == problem.status
    assert body == {
        "type": f"urn:wechat-auth:problem:{problem.code}",
        "title": problem.title_zh,
        "status": problem.status,
        "code": problem.code,
        "action": problem.action,
        "requestId": REQUEST_ID,
    }
    return detail


# ---------------------------------------------------------------------- answers


def test_an_answer_is_json_that_nobody_may_cache() -> None:
    assert answering({"token": "令牌", "expiresAt": 1}) == {
        "statusCode": 200,
        "headers": {
            "Cache-Control": "no-store",
            "Content-Type": "application/json; charset=utf-8",
        },
        "body": '{"token":"令牌","expiresAt":1}',
    }


def test_no_content_has_no_body_and_no_type() -> None:
    assert endpoint(lambda _: Reply(204))(event(method="DELETE"), Context()) == {
        "statusCode": 204,
        "headers": {"Cache-Control": "no-store"},
    }


def test_half_an_emoji_is_answered_as_the_json_escape_it_was() -> None:
    answer = answering({"nickName": "李雷\ud83d", "whole": "😀"})

    assert answer["body"] == '{"nickName":"李雷\\ud83d","whole":"😀"}'
    assert document(answer) == {"nickName": "李雷\ud83d", "whole": "😀"}


def test_a_line_separator_that_old_phones_cannot_parse_goes_out_as_an_escape() -> None:
    answer = answering({"nickName": "a\u2028b\u2029"})

    assert answer["body"] == '{"nickName":"a\\u2028b\\u2029"}'
    assert document(answer) == {"nickName": "a\u2028b\u2029"}


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_number_that_json_lacks_is_never_sent(number: float) -> None:
    answer = answering({"number": number})

    assert document(answer)["code"] == "internal_error"


# ---------------------------------------------------------------------- problem documents


def test_a_problem_document_holds_what_the_contract_says() -> None:
    error = AuthError(PHONE_CODE_REJECTED, errcode=40029, rid="5f3d-11aa-22bb")
    answer = raising(error)(event(), Context())

    assert answer["statusCode"] == 422
    assert answer["headers"] == {
        "Cache-Control": "no-store",
        "Content-Type": "application/problem+json; charset=utf-8",
        "Content-Language": "zh-CN",
    }
    assert document(answer) == {
        "type": "urn:wechat-auth:problem:phone_code_rejected",
        "title": "获取手机号失败，请重新点击授权",
        "status": 422,
        "detail": PHONE_CODE_REJECTED.detail,
        "code": "phone_code_rejected",
        "action": "authorize_again",
        "requestId": REQUEST_ID,
        "rid": "5f3d-11aa-22bb",
    }


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.code)
def test_every_problem_is_answered_in_its_form(problem: Problem) -> None:
    answer = raising(AuthError(problem))(event(), Context())

    assert refused(answer, problem) == problem.detail
    headers = answer["headers"]
    assert headers.get("Retry-After") == (
        None if problem.retry_after is None else str(problem.retry_after)
    )
    assert headers.get("WWW-Authenticate") == CHALLENGES.get(problem.code)


def test_an_errors_own_wait_is_the_one_that_is_sent() -> None:
    answer = raising(AuthError(TOO_MANY_FAILURES, retry_after=17))(event(), Context())

    assert answer["headers"]["Retry-After"] == "17"


def test_without_api_gateways_request_id_lambdas_is_told() -> None:
    asked = event()
    del asked["requestContext"]["requestId"]

    answer = raising(AuthError(SESSION_INVALID))(asked, Context())

    assert document(answer)["requestId"] == "1f2e3d4c-5b6a-4798-8877-665544332211"


@pytest.mark.parametrize(
    "ping",
    [
        {},
        {"key1": "value1"},
        {"source": "serverless-plugin-warmup"},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
        {"version": "2.0", "requestContext": None},
        [],
        "ping",
        None,
    ],
    ids=str,
)
def test_a_ping_or_a_test_is_one_line_with_a_remedy_and_nobodys_fault(
    ping: Any, log: Lines
) -> None:
    assert names(ping, Context()) == {"statusCode": 400, "headers": {}}
    (line,) = log()
    assert (line["level"], line["message"]) == ("WARNING", "not an HTTP request")
    assert line["remedy"] == PING


@pytest.mark.parametrize(
    "other",
    [
        {"version": "1.0", "httpMethod": "POST", "path": "/login", "requestContext": {}},
        {"resource": "/login", "httpMethod": "POST", "requestContext": {"requestId": REQUEST_ID}},
    ],
    ids=["payload 1.0", "REST API"],
)
def test_a_request_of_another_payload_format_is_the_operators_fault(
    other: Document, log: Lines
) -> None:
    assert document(names(other, Context()))["code"] == "misconfigured"
    assert log()[0]["remedy"].startswith("the function is called with payload format 1.0")


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ({"version": "1.0", "type": "REQUEST", "methodArn": "arn"}, "the authorizer is attached"),
        ({"type": "TOKEN", "methodArn": "arn"}, "the authorizer is attached"),
        (
            {"version": "2.0", "headers": {"x-token": TOKEN}, "identitySource": [TOKEN]},
            "the authorizer is attached with another identity source",
        ),
        ({"key1": "value1"}, "the event is no HTTP request"),
    ],
    ids=["payload 1.0", "TOKEN", "another header", "a test"],
)
def test_an_authorizer_that_is_attached_wrongly_raises_instead_of_refusing_everybody(
    other: Document, remedy: str
) -> None:
    with pytest.raises(AuthError) as caught:
        authorize(other, Context())
    assert caught.value.problem is MISCONFIGURED
    assert str(caught.value.remedy).startswith(remedy)


GET_BY_DEFAULT = " wx.request sends GET unless its method says otherwise."
NOTHING_HERE = (
    "There is nothing at this path. The routes are POST /login, POST /phone, POST /decrypt, GET "
    "and DELETE /session, POST /introspect."
)


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/login", "/login takes POST, not GET." + GET_BY_DEFAULT),
        ("PUT", "/phone", "/phone takes POST, not PUT."),
        ("POST", "/session", "/session takes GET and DELETE, not POST."),
        ("POST", "/login/", "The path is /login, in small letters and without another slash."),
        ("POST", "//login", "The path is /login, in small letters and without another slash."),
        ("POST", "/Login", "The path is /login, in small letters and without another slash."),
        ("POST", "/api/login", "The path is /login, without anything before it."),
        ("POST", "/prod/phone/", "The path is /phone, without anything before it."),
        ("POST", "/", NOTHING_HERE),
        ("POST", "/favicon.ico", NOTHING_HERE),
    ],
)  # fmt: skip
def test_what_no_route_takes_is_told_which_one_is_meant(
    method: str, path: str, detail: str
) -> None:
    asked = {**event(method=method), "routeKey": "$default", "rawPath": path}
    assert refused(names(asked, Context()), NO_SUCH_ROUTE) == detail


# ---------------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("header", "english"),
    [
        ("", False),
        ("*", False),
        ("en", True),
        ("EN-us", True),
        ("zh", False),
        ("zh-CN,zh;q=0.9,en;q=0.8", False),
        ("en-GB,en;q=0.9,zh;q=0.8", True),
        ("zh;q=0.5, en;q=0.6", True),
        ("zh;q=0.6, en;q=0.6", False),
        ("en;q=0", False),
        ("en; q=0.3", True),
        ("fr, de;q=0.9", False),
        ("fr, en;q=0.1", True),
        ("english", False),
        ("en;q=", False),
        ("en;q=many", False),
        ("en;q=nan", False),
        ("en;q=-1", False),
        ("en;level=1", False),
        (",,;;=,en", True),
    ],
)
def test_chinese_unless_english_is_preferred(header: str, english: bool) -> None:
    assert prefers_english(header) is english


@pytest.mark.parametrize("name", ["accept-language", "Accept-Language"])
def test_a_title_comes_in_the_language_that_was_asked_for(name: str) -> None:
    answer = token(event(headers={name: "en-US,en;q=0.9"}), Context())

    assert answer["headers"]["Content-Language"] == "en"
    assert document(answer)["title"] == "Your login has expired, please log in again"


@given(st.text())
def test_no_accept_language_is_an_exception(header: str) -> None:
    assert prefers_english(header) in {True, False}


# ---------------------------------------------------------------------- body


def test_a_body_is_a_json_object() -> None:
    assert document(names(event('{"code":"a","更多":1}'), Context())) == {"names": ["code", "更多"]}


def test_a_byte_order_mark_is_ignored() -> None:
    assert document(names(event('\ufeff{"code":"a"}'), Context())) == {"names": ["code"]}


def test_a_body_may_come_as_base64() -> None:
    asked = event('{"更多":1}'.encode())
    assert asked["isBase64Encoded"] is True

    assert document(names(asked, Context())) == {"names": ["更多"]}


@pytest.mark.parametrize("text", ["no base64!", "eyJ", "eyJ9\n\u7801"])
def test_base64_that_is_none_is_refused(text: str) -> None:
    asked = {**event(), "body": text, "isBase64Encoded": True}

    assert refused(names(asked, Context()), INVALID_REQUEST) == "body: could not be decoded"


NOT_JSON = "body: must be JSON (RFC 8259) in UTF-8, and no name may stand twice"
NO_OBJECT = "body: must be a JSON object"
EMPTY = "body: is empty: wx.request takes method POST and an object as data; send a JSON object"
A_FORM = "body: is a form: set content-type to application/json; send a JSON object"
MULTIPART = "body: is a multipart form: use wx.request and not wx.uploadFile; send a JSON object"
AN_OBJECT = "body: is what String() makes of an object: use JSON.stringify; send a JSON object"
QUOTED = "body: is JSON within a JSON string: use JSON.stringify once"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(None, EMPTY, id="none"),
        pytest.param(" \r\n", EMPTY, id="blank"),
        pytest.param("\ufeff", EMPTY, id="a byte order mark"),
        pytest.param("code=a&appid=b", A_FORM, id="a form"),
        pytest.param("encryptedData=a%2Bb%3D&iv=c", A_FORM, id="a form of base64"),
        pytest.param("----WebKit\r\nContent-Disposition: form-data", MULTIPART, id="multipart"),
        pytest.param("[object Object]", AN_OBJECT, id="an object made a text"),
        pytest.param('"{\\"code\\":\\"a\\"}"', QUOTED, id="JSON in JSON"),
        pytest.param('{"code":"a",}', NOT_JSON, id="a comma too many"),
        pytest.param('{"code":"a"', NOT_JSON, id="cut"),
        pytest.param('{"code":"a"}}', NOT_JSON, id="more after it"),
        pytest.param('{"a":' * 3000 + "1" + "}" * 3000, REQUEST_TOO_LARGE.detail, id="too large"),
        pytest.param("[]", NO_OBJECT, id="an array"),
        pytest.param("null", NO_OBJECT, id="null"),
        pytest.param('"a"', QUOTED, id="a text"),
        pytest.param("1", NO_OBJECT, id="a number"),
    ],
)
def test_any_other_body_is_refused(body: str | bytes | None, detail: str) -> None:
    problem = REQUEST_TOO_LARGE if detail == REQUEST_TOO_LARGE.detail else INVALID_REQUEST

    assert refused(names(event(body), Context()), problem) == detail


@pytest.mark.parametrize("letter", ["a", "码"])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_may_hold_16_kib_and_not_a_byte_more(letter: str, encoded: bool) -> None:
    room = MAX_BODY - len('{"code":""}')
    size = len(letter.encode())
    full = '{"code":"' + letter * (room // size) + "b" * (room % size) + '"}'
    over = full.replace('"}', 'b"}')
    assert len(full.encode()) == 16_384

    def ask(text: str) -> Document:
        return names(event(text.encode() if encoded else text), Context())

    assert document(ask(full)) == {"names": ["code"]}
    assert refused(ask(over), REQUEST_TOO_LARGE) == "The body may hold 16 KiB at most."


# ---------------------------------------------------------------------- Bearer


@pytest.mark.parametrize(
    "header", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer   abc  ", "bEaReR abc"]
)
def test_a_bearer_token_is_taken_in_every_case(header: str) -> None:
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize(
    "header",
    ["", " ", "Bearer", "Bearer ", "Bearer  ", " Bearer abc"],
)  # fmt: skip
def test_who_has_no_token_yet_has_a_session_that_is_not_valid(header: str) -> None:
    answer = token(event(headers={"authorization": header}), Context())

    assert refused(answer, SESSION_INVALID) == SESSION_INVALID.detail
    assert answer["headers"]["WWW-Authenticate"] == "Bearer"


def test_no_authorization_at_all_is_refused_only_where_one_is_needed() -> None:
    asked = Request.from_event(event())

    assert asked.optional_bearer() is None
    with pytest.raises(AuthError) as missing:
        asked.bearer()
    assert missing.value.problem is SESSION_INVALID


@pytest.mark.parametrize("header", ["", "Bearer"])
def test_what_is_sent_but_no_bearer_token_is_refused_also_where_none_is_needed(
    header: str,
) -> None:
    with pytest.raises(AuthError) as wrong:
        Request.from_event(event(headers={"authorization": header})).optional_bearer()

    assert wrong.value.problem is SESSION_INVALID


@given(st.lists(st.from_regex(r"Bearer [0-9A-Za-z_-]{1,10}", fullmatch=True), min_size=2))
def test_of_several_tokens_none_is_picked(values: list[str]) -> None:
    joined = ",".join(values)  # as API Gateway joins a header that was sent more than once

    with pytest.raises(AuthError) as wrong:
        bearer_token(joined)
    assert wrong.value.problem is SESSION_INVALID


@pytest.mark.parametrize(
    "header",
    [TOKEN, f'"{TOKEN}"', f'Bearer "{TOKEN}"', f'"Bearer {TOKEN}"', f"Token {TOKEN}",
     f"Bearer:{TOKEN}", f"Bearer Bearer {TOKEN}", f'{{"token":"{TOKEN}"}}', f" Bearer {TOKEN}",
     "abc", "undefined", "null", "Basic abc", "Token abc", "Bearer\tabc", "Bearer:abc",
     "Bearerabc"],
)  # fmt: skip
def test_a_token_that_is_not_sent_as_bearer_is_a_fault_that_no_new_login_mends(header: str) -> None:
    answer = token(event(headers={"authorization": header}), Context())

    assert refused(answer, INVALID_REQUEST) == (
        "Authorization: must be Bearer, one blank and the token, without quotes"
    )


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"headers": {"X-WX-Skey": TOKEN}}, "the header x-wx-skey"),
        ({"headers": {"3rdSessionId": f"Bearer {TOKEN}"}}, "the header 3rdsessionid"),
        ({"headers": {"Cookie": f"token={TOKEN}"}}, "the header cookie"),
        ({"query": {"token": TOKEN}}, "the query, which logs keep"),
        ({"query": {"auth": f"Bearer {TOKEN}"}}, "the query, which logs keep"),
        ({"cookies": ["lang=zh", f"session={TOKEN}"]}, "the header cookie"),
        ({"body": json.dumps({"sessionId": TOKEN})}, "the body"),
    ],
)
def test_a_token_that_stands_elsewhere_is_found_and_its_place_named(
    sent: dict[str, Any], place: str
) -> None:
    query, cookies = sent.get("query"), sent.get("cookies", [])
    plain = {name: sent[name] for name in ("headers", "body") if name in sent}
    asked = {**event(**plain), "queryStringParameters": query, "cookies": cookies}

    assert refused(token(asked, Context()), INVALID_REQUEST) == (
        f"Authorization: is missing: the token came in {place}; send Bearer and the token here"
    )


@pytest.mark.parametrize("name", ["cloudID", "code", "encryptedData", "rawData"])
def test_what_only_looks_like_a_token_is_none(name: str) -> None:
    answer = token(event(json.dumps({name: TOKEN})), Context())

    assert refused(answer, SESSION_INVALID) == SESSION_INVALID.detail


@given(st.dictionaries(st.text(), st.text()))
def test_no_headers_are_an_exception(headers: dict[str, str]) -> None:
    answer = names(event("{}", headers=headers), Context())

    assert document(answer) == {"names": []}


# ---------------------------------------------------------------------- query


def test_a_flag_is_true_false_or_missing() -> None:
    asked = Request.from_event(event(query={"all": "true", "verify": "false"}))

    assert (asked.flag("all"), asked.flag("verify"), asked.flag("other")) == (True, False, False)
    assert Request.from_event(event()).flag("all") is False


@pytest.mark.parametrize("value", ["", "1", "True", "yes", "true,true", "true "])
def test_a_flag_of_another_form_is_refused_and_named(value: str) -> None:
    handler = endpoint(lambda request: Reply(200, {"all": request.flag("all")}))

    answer = handler(event(query={"all": value}), Context())

    assert refused(answer, INVALID_REQUEST) == "all: must be true or false"


# ---------------------------------------------------------------------- what nobody expected


class ForeignError(Exception):
    """An exception that this service does not know."""


def test_an_unexpected_exception_is_an_internal_error_that_the_client_learns_nothing_of() -> None:
    answer = raising(ForeignError("13800138000 is secret"))(event(), Context())

    assert answer["statusCode"] == 500
    assert document(answer)["code"] == "internal_error"
    assert "13800138000" not in json.dumps(answer)
    assert "ForeignError" not in json.dumps(answer)


def test_it_is_logged_with_its_type_and_place_and_without_its_text(
    log: Lines, metrics: Lines
) -> None:
    raising(ForeignError("13800138000 is secret"))(event(), Context())

    unexpected, request = log()
    assert unexpected["level"] == "ERROR"
    assert unexpected["message"] == "unexpected error"
    assert unexpected["exception_type"] == "ForeignError"
    assert unexpected["at"][-1].startswith(f"{__file__}:")
    assert unexpected["at"][-1].endswith(" handler")
    assert request["code"] == "internal_error"
    assert "13800138000" not in json.dumps(log())
    assert [line["UnexpectedErrors"] for line in metrics()] == [[1.0]]


# ---------------------------------------------------------------------- log


def test_one_line_of_named_fields_says_what_was_asked_and_answered(
    log: Lines, metrics: Lines
) -> None:
    names(event('{"code":"secret-code"}', headers={"authorization": "Bearer secret"}), Context())

    (line,) = log()
    assert line["level"] == "INFO"
    assert line["message"] == "request"
    assert line["route"] == "POST /login"
    assert line["status"] == 200
    assert line["requestId"] == REQUEST_ID
    assert 0 <= line["ms"] < 10_000
    assert line.keys().isdisjoint({"code", "errcode", "rid"})
    assert "secret" not in json.dumps(line)
    assert metrics() == []


def test_what_the_client_did_wrong_is_one_line_with_wechats_errcode_and_rid(log: Lines) -> None:
    raising(WeChatError("code2Session", 40163, "5f3d-11aa-22bb"))(event(), Context())

    (line,) = log()
    assert (line["status"], line["code"]) == (422, "login_code_rejected")
    assert (line["errcode"], line["rid"]) == (40163, "5f3d-11aa-22bb")


def test_what_wechat_did_wrong_is_logged_with_call_and_reason(log: Lines) -> None:
    raising(WeChatUnavailableError("code2Session", "ReadTimeoutError"))(event(), Context())

    fault, request = log()
    assert (fault["level"], fault["message"]) == ("WARNING", "fault")
    assert (fault["call"], fault["reason"]) == ("code2Session", "ReadTimeoutError")
    assert (request["status"], request["code"]) == (503, WECHAT_UNAVAILABLE.code)


def test_what_the_operator_must_mend_is_logged_even_if_the_client_only_waits(log: Lines) -> None:
    raising(WeChatError("getPhoneNumber", 45009))(event(), Context())

    assert log()[0]["message"] == "operator fault"
    assert log()[0]["call"] == "getPhoneNumber"


def test_a_remedy_is_logged_whatever_the_status(log: Lines) -> None:
    raising(AuthError(PHONE_CODE_REJECTED, remedy="compare the appids"))(event(), Context())

    assert log()[0]["remedy"] == "compare the appids"


def test_a_remedy_never_reaches_the_client(log: Lines) -> None:
    answer = raising(misconfigured("store the AppSecret"))(event(), Context())

    assert log()[0]["remedy"] == "store the AppSecret"
    assert "AppSecret" not in answer["body"]


# ---------------------------------------------------------------------- whatever comes in

any_text = st.text(st.characters(codec=None, exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=10,
)


def assert_contract(answer: Document) -> None:
    assert set(answer) == {"statusCode", "headers", "body"}
    body = document(answer)
    if answer["statusCode"] == 200:
        assert set(body) == {"names"}
    else:
        assert refused(answer, INVALID_REQUEST if body["status"] == 400 else REQUEST_TOO_LARGE)


@given(value=json_values, ascii_=st.booleans(), binary=st.booleans())
@example(value={"\ud800": 1}, ascii_=True, binary=False)
def test_any_json_gets_an_answer_of_the_contract(value: Any, ascii_: bool, binary: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_)
    body = text.encode("utf-8", "surrogatepass") if binary else text

    assert_contract(names(event(body), Context()))


@given(any_text | st.binary())
def test_any_body_at_all_gets_an_answer_of_the_contract(body: str | bytes) -> None:
    assert_contract(names(event(body), Context()))


@given(any_text)
def test_any_text_that_is_said_to_be_base64_gets_an_answer_of_the_contract(text: str) -> None:
    assert_contract(names({**event(), "body": text, "isBase64Encoded": True}, Context()))


@given(st.binary(max_size=100))
def test_base64_and_plain_bodies_are_read_alike(content: bytes) -> None:
    encoded = {**event(), "body": base64.b64encode(content).decode(), "isBase64Encoded": True}
    plain = event(content.decode("utf-8", "surrogateescape"))

    assert names(encoded, Context()) == names(plain, Context())
