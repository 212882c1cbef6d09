"""What the simulated WeChat says to malformed requests, and the form of all it says."""

import re

import pytest

from local.simulated_wechat import SimulatedWeChat

from .wechat_caller import APPID, SECRET, Caller, Document

PHONE_NUMBER = "/wxa/business/getuserphonenumber"
RID = re.compile(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$")


def test_failures_are_http_200_labelled_plain_text_with_a_rid(api: Caller) -> None:
    response = api.request("GET", "/sns/jscode2session")

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain"
    reply = response.json()
    assert reply["errcode"] == 41002
    assert RID.search(reply["errmsg"])


def test_successes_are_labelled_plain_text_too(api: Caller) -> None:
    query = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}

    assert api.request("GET", "/cgi-bin/token", query).headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("missing", "errcode"),
    [("appid", 41002), ("secret", 41004), ("js_code", 41008), ("grant_type", 40002)],
)
def test_code2session_names_what_is_missing(api: Caller, missing: str, errcode: int) -> None:
    assert api.code2session("0" * 32, **{missing: None})["errcode"] == errcode


@pytest.mark.parametrize(
    ("missing", "errcode"), [("appid", 41002), ("secret", 41004), ("grant_type", 40002)]
)
def test_the_token_calls_name_what_is_missing(api: Caller, missing: str, errcode: int) -> None:
    changes: Document = {missing: None}

    assert api.stable_token(**changes)["errcode"] == errcode
    assert api.classic_token(**changes)["errcode"] == errcode


@pytest.mark.parametrize("change", [{"appid": 1}, {"force_refresh": "true"}])
def test_a_member_of_the_wrong_type_is_a_format_error(api: Caller, change: Document) -> None:
    assert api.stable_token(**change)["errcode"] == 47001


@pytest.mark.parametrize(
    ("method", "path", "errcode"),
    [
        ("GET", "/cgi-bin/stable_token", 43002),
        ("GET", PHONE_NUMBER, 43002),
        ("GET", "/wxa/business/checkencryptedmsg", 43002),
        ("GET", "/wxa/getopendata", 43002),
        ("POST", "/sns/jscode2session", 43001),
        ("POST", "/cgi-bin/token", 43001),
        ("POST", "/wxa/checksession", 43001),
        ("PUT", "/wxa/resetusersessionkey", 43001),
    ],
)
def test_the_wrong_method_is_refused(api: Caller, method: str, path: str, errcode: int) -> None:
    assert api.call(method, path, body={})["errcode"] == errcode


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PHONE_NUMBER),
        ("GET", "/wxa/checksession"),
        ("GET", "/wxa/resetusersessionkey"),
        ("POST", "/wxa/business/checkencryptedmsg"),
        ("POST", "/wxa/getopendata"),
    ],
)
def test_a_token_outside_the_query_is_missing(api: Caller, method: str, path: str) -> None:
    body = {"access_token": api.token()} if method == "POST" else None

    assert api.call(method, path, body=body)["errcode"] == 41001


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"", 44002),
        (b"code=0123", 47001),
        (b"[]", 47001),
        (b'{"code"', 47001),
        (b"\xff", 47001),
        (b"[" * 100_000, 47001),
        (b'{"code": 1}', 47001),
        (b"{}", 41008),
    ],
)
def test_a_phone_code_must_come_in_a_json_object(api: Caller, body: bytes, errcode: int) -> None:
    query = {"access_token": api.token()}

    assert api.call("POST", PHONE_NUMBER, query, body)["errcode"] == errcode


def test_a_hash_must_be_sent_to_be_checked(api: Caller) -> None:
    query = {"access_token": api.token()}

    assert api.call("POST", "/wxa/business/checkencryptedmsg", query, {})["errcode"] == 40097


@pytest.mark.parametrize("cloud_ids", [None, "39_x", [1]])
def test_cloud_ids_must_be_a_list_of_texts(
    wechat: SimulatedWeChat, api: Caller, cloud_ids: object
) -> None:
    query = {"access_token": api.token(), "openid": wechat.phone().openid}

    reply = api.call("POST", "/wxa/getopendata", query, {"cloudid_list": cloud_ids})

    assert reply["errcode"] == 47001


def test_an_unknown_url_is_refused(api: Caller) -> None:
    assert api.call("GET", "/wxa/nothing")["errcode"] == 40066
