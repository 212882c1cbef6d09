"""Requests that no schema describes, byte by byte through the gateway to the functions."""

import http.client
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from local import API_CLIENT
from local.simulated_wechat import Phone
from tests.harness.api import Answer, Api, basic
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment

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
    address = urlsplit(deployment.stack.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        path = target.partition("?")[0]
        answer = Answer(method, path, reply.status, dict(reply.headers), reply.read())
    assert_keeps_to_the_contract(answer)
    assert answer.status < 500
    return answer


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
