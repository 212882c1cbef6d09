"""Requests that no schema describes, byte by byte through the gateway to the functions."""

import http.client
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from local import API_CLIENT, APPID, COMPONENT
from local.simulated_wechat import MessagePush, Phone
from local.stack import app_secrets
from tests.harness.api import Answer, Api, basic
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment
from wechat_auth.user_events import CLOSED, MODIFIED, REVOKED
from wechat_crypto.push_message import push_signature

MERCHANT = "wx0000000000abc010"

Headers = Sequence[tuple[str, str]]

over_http = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
no_more_than_ascii = st.text(st.characters(min_codepoint=33, max_codepoint=126))
header_values = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
)
routes = st.sampled_from(
    [("POST", "/login"), ("POST", "/phone"), ("POST", "/decrypt"),
     ("GET", "/session"), ("DELETE", "/session"), ("POST", "/introspect")]
)  # fmt: skip
posts = st.sampled_from(["/login", "/phone", "/decrypt"])


def send(
    deployment: Deployment, method: str, target: str, headers: Headers = (), body: bytes = b""
) -> Answer:
    """Send headers as they are, also twice; the answer must keep to the contract."""
    answer = exchange(deployment, method, target, headers, body)
    assert_keeps_to_the_contract(answer)
    assert answer.status < 500
    return answer


def exchange(
    deployment: Deployment, method: str, target: str, headers: Headers, body: bytes
) -> Answer:
    address = urlsplit(deployment.stack.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        path = target.partition("?")[0]
        return Answer(method, path, reply.status, dict(reply.headers), reply.read())


@pytest.fixture
def token(api: Api, phone: Phone) -> str:
    return api.logged_in(phone)


@pytest.fixture
def api(deployment: Deployment) -> Api:
    return Api(deployment.stack.url)


# ---------------------------------------------------------------------- headers


@pytest.mark.parametrize("route", [("POST", "/phone"), ("GET", "/session"), ("DELETE", "/session")])
def test_of_two_authorizations_none_counts_also_if_both_are_good(
    deployment: Deployment, token: str, route: tuple[str, str]
) -> None:
    good = f"Bearer {token}"
    for pair in ([good, good], [good, ""], ["", good], [good, "Basic x"], ["Bearer x", good]):
        headers = [("Authorization", pair[0]), ("authorization", pair[1])]
        assert send(deployment, *route, headers, b'{"code":"a"}').status in {400, 401}, pair
    assert send(deployment, "GET", "/session", [("Authorization", good)]).status == 200


@given(route=routes, value=header_values, other=header_values)
@example(route=("GET", "/session"), value="Bearer \xff", other="en;q=\xb2")
@over_http
def test_any_header_is_answered(
    deployment: Deployment, route: tuple[str, str], value: str, other: str
) -> None:
    headers = [("Authorization", value), ("Accept-Language", other), ("Cookie", value)]

    assert send(deployment, *route, headers, b"{}").status in {400, 401}


# ---------------------------------------------------------------------- query


@given(query=no_more_than_ascii.filter(lambda text: "#" not in text))
@example(query="verify=%ff")
@example(query="&&==&%")
@over_http
def test_no_query_is_a_fault_of_ours(deployment: Deployment, token: str, query: str) -> None:
    headers = [("Authorization", f"Bearer {token}")]

    assert send(deployment, "GET", f"/session?{query}", headers).status in {200, 400}


# ---------------------------------------------------------------------- bodies

HOSTILE = [
    b'{"code":"a","code":"b"}',
    b'{"code":1e400}',
    b'{"code":NaN}',
    b'{"code":' + b"9" * 5_000 + b"}",
    b'{"code":"\\ud800"}',
    b'{"code":"\xed\xa0\x80"}',
    b'{"code":"a&appid=wxfedcba9876543210"}',
    b'\xef\xbb\xbf\xef\xbb\xbf{"code":"a"}',
    b'{"code":"\xff"}',
    b'["code"]',
    b"[" * 16_000,
    b'{"a":' * 3_000,
    b'{"a":' + b"[" * 7_000 + b"]" * 7_000 + b"}",
    b"\0" * 100,
]
TYPES = [
    "application/json", "APPLICATION/JSON", "application/json; charset=utf-16", "text/plain",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", "",
    ";", "/",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/login", "/phone", "/decrypt"])
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_body_is_400_whatever_its_label(
    deployment: Deployment, token: str, path: str, body: bytes
) -> None:
    headers = [("Authorization", f"Bearer {token}")]
    for content_type in TYPES:
        sent = [*headers, ("Content-Type", content_type)]
        assert send(deployment, "POST", path, sent, body).status == 400, content_type


@given(path=posts, body=st.binary(max_size=200), content_type=st.sampled_from(TYPES))
@over_http
def test_any_bytes_are_answered(
    deployment: Deployment, token: str, path: str, body: bytes, content_type: str
) -> None:
    headers = [("Authorization", f"Bearer {token}"), ("Content-Type", content_type)]

    assert send(deployment, "POST", path, headers, body).status == 400


# ---------------------------------------------------------------------- introspection


@given(body=st.binary(max_size=200), content_type=st.sampled_from(TYPES))
@example(body=b"token=%ff%00", content_type="")
@example(body=b"&&=&%", content_type="text/plain")
@over_http
def test_no_form_is_a_fault_of_ours(deployment: Deployment, body: bytes, content_type: str) -> None:
    headers = [("Authorization", basic(*API_CLIENT)), ("Content-Type", content_type)]

    for sent in (body, b"token=" + body):
        answer = send(deployment, "POST", "/introspect", headers, sent)
        assert answer.status == 400 or answer.json == {"active": False}


@given(credentials=st.binary(max_size=100))
@example(credentials=b"local")
@example(credentials=b":")
@example(credentials=b"local:local\0")
@over_http
def test_no_credentials_but_a_clients_are_good(deployment: Deployment, credentials: bytes) -> None:
    for value in (b64encode(credentials).decode(), credentials.decode("latin-1").strip()):
        if any(character in value for character in "\r\n\0"):
            continue
        headers = [("Authorization", f"Basic {value}")]
        assert send(deployment, "POST", "/introspect", headers, b"token=x").status == 401


# ---------------------------------------------------------------------- WeChat's pushes

SUCCESS, REFUSED = (200, b"success"), (403, b"")
MAX_PUSH = 64 * 1024
PATHS = [APPID, COMPONENT, f"{COMPONENT}/{MERCHANT}", f"{APPID}/{MERCHANT}", f"{COMPONENT}/{APPID}"]

paths = st.sampled_from(PATHS) | st.text(min_size=1).map(lambda text: quote(text, safe=""))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
kinds = st.sampled_from([CLOSED, REVOKED, MODIFIED, "component_verify_ticket", "authorized",
                         "updateauthorized", "unauthorized", "event"])  # fmt: skip
messages = st.dictionaries(
    st.sampled_from(["MsgType", "Event", "OpenID", "CreateTime", "RevokeInfo", "InfoType", "AppId",
                     "AuthorizerAppid", "AuthorizationCode", "ComponentVerifyTicket"]) | st.text(),
    kinds | st.sampled_from([COMPONENT, MERCHANT]) | values,
    max_size=10,
)  # fmt: skip


@pytest.fixture
def pushing(deployment: Deployment) -> Deployment:
    """A deployment that receives pushes of its app and of a platform."""
    deployment.put_secret("AppSecrets", app_secrets(deployment.wechat))
    deployment.configure(COMPONENT_APPID=COMPONENT)
    return deployment


def keys(deployment: Deployment, path: str) -> MessagePush:
    """Return what signs and seals what comes by a path."""
    platform = deployment.wechat.platform
    of_platform = platform and path.startswith(COMPONENT)
    return platform.push if platform and of_platform else deployment.wechat.message_push()


def pushed(
    deployment: Deployment, path: str, query: str, body: bytes | None, content_type: str = ""
) -> tuple[int, bytes]:
    headers = [("Content-Type", content_type)] if content_type else []
    method = "GET" if body is None else "POST"
    answer = exchange(deployment, method, f"/wechat-push/{path}?{query}", headers, body or b"")
    return answer.status, answer.content


@given(
    path=paths,
    query=no_more_than_ascii.filter(lambda text: "#" not in text),
    body=st.none() | st.binary(max_size=300) | st.sampled_from(HOSTILE),
    content_type=st.sampled_from(TYPES),
)
@example(path=APPID, query="timestamp=%ff&nonce=&msg_signature=%00", body=b"{}", content_type="")
@example(path=f"{COMPONENT}/{MERCHANT}", query="", body=b"<xml>" * 9_000, content_type="text/xml")
@over_http
def test_what_nobody_signed_is_refused_without_a_word(
    pushing: Deployment, path: str, query: str, body: bytes | None, content_type: str
) -> None:
    assume(body is not None or "/" not in path)  # only one's own address is ever verified
    assert pushed(pushing, path, query, body, content_type) == REFUSED


@given(
    path=st.sampled_from(PATHS),
    encrypted=st.text(max_size=200)
    | st.binary(max_size=200).map(lambda raw: b64encode(raw).decode()),
    content_type=st.sampled_from(TYPES),
)
@example(path=APPID, encrypted="", content_type="application/json")
@example(path=COMPONENT, encrypted=b64encode(bytes(64)).decode(), content_type="text/xml")
@over_http
def test_a_signature_alone_opens_nothing(
    pushing: Deployment, path: str, encrypted: str, content_type: str
) -> None:
    signature = push_signature(keys(pushing, path).token, "1", "2", encrypted)
    query = urlencode({"timestamp": "1", "nonce": "2", "msg_signature": signature})
    body = json.dumps({"Encrypt": encrypted}).encode()

    assert pushed(pushing, path, query, body, content_type) == REFUSED


@given(path=st.sampled_from(PATHS), message=messages, xml=st.booleans())
@example(path=COMPONENT, message={"AppId": COMPONENT, "InfoType": "component_verify_ticket",
                                  "ComponentVerifyTicket": "\ud800"}, xml=False)  # fmt: skip
@over_http
def test_whatever_wechat_seals_is_heard_or_refused(
    pushing: Deployment, path: str, message: dict[str, Any], xml: bool
) -> None:
    push = keys(pushing, path)
    push.xml = xml
    made = push.seal(message)

    assert pushed(pushing, path, urlencode(made.query), made.body) in (SUCCESS, REFUSED)


@given(echo=st.text(max_size=150), path=st.sampled_from([APPID, COMPONENT, MERCHANT]))
@example(echo="1234567890", path=APPID)
@example(echo="<script>", path=APPID)
@over_http
def test_an_echostr_comes_back_only_if_it_is_one(pushing: Deployment, echo: str, path: str) -> None:
    asked = {**keys(pushing, path).verification().query, "echostr": echo}
    is_one = path == APPID and re.fullmatch(r"[0-9A-Za-z_-]{1,128}", echo)
    answer = pushed(pushing, path, urlencode(asked, errors="surrogatepass"), None)

    assert answer == ((200, echo.encode()) if is_one else REFUSED)


@pytest.mark.parametrize("path", [APPID, COMPONENT, f"{COMPONENT}/{MERCHANT}"])
def test_a_push_may_take_64_kib_and_not_a_byte_more(pushing: Deployment, path: str) -> None:
    made = keys(pushing, path).seal({"AppId": COMPONENT, "MsgType": "event"})
    assert made.body
    query, full = urlencode(made.query), made.body.ljust(MAX_PUSH)

    assert pushed(pushing, path, query, full) == SUCCESS
    assert pushed(pushing, path, query, full + b" ") == REFUSED
    assert pushed(pushing, path, query, made.body.ljust(1024 * 1024)) == REFUSED


@pytest.mark.parametrize("path", [APPID, COMPONENT, f"{COMPONENT}/{MERCHANT}"])
def test_of_a_query_that_says_something_twice_none_counts(pushing: Deployment, path: str) -> None:
    made = keys(pushing, path).seal({"AppId": COMPONENT})
    for name in ("timestamp", "nonce", "msg_signature"):
        query = urlencode([*made.query.items(), (name, made.query[name])])
        assert pushed(pushing, path, query, made.body) == REFUSED
    assert pushed(pushing, path, urlencode(made.query), made.body) == SUCCESS
