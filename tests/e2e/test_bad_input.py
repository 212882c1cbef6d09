"""Bad input: each gets the contract's error, nobody is asked, and nothing stored changes."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Answer, Api, Document, legacy
from tests.harness.deployment import Deployment

INVALID = (400, "invalid_request", "fix_request")
TOO_LARGE = (413, "request_too_large", "fix_request")
SESSION_INVALID = (401, "session_invalid", "login_again")
UNDECRYPTABLE = (422, "undecryptable", "login_again")

POST_ROUTES = ["/login", "/phone", "/decrypt"]
IV = base64.b64encode(bytes(16)).decode()
CIPHERTEXT = base64.b64encode(bytes(32)).decode()


Untouched = Callable[[], None]


@pytest.fixture
def token(api: Api, phone: Phone) -> str:
    """A session, in a backend that has its access_token already."""
    token = api.logged_in(phone)
    assert api.phone(phone.tap_phone_number().code).status == 200
    return token


@pytest.fixture
def untouched(token: str, deployment: Deployment, wechat: SimulatedWeChat) -> Untouched:
    """Check that nothing stored has changed, and that WeChat was asked nothing."""
    stored, calls = deployment.dump(), wechat.counts()

    def check() -> None:
        assert deployment.dump() == stored
        assert wechat.counts() == calls

    return check


class TestBody:
    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            (None, "body: must be JSON (RFC 8259) in UTF-8"),
            (b"", "body: must be JSON (RFC 8259) in UTF-8"),
            (b"code=0123", "body: must be JSON (RFC 8259) in UTF-8"),
            (b'{"code": "x"', "body: must be JSON (RFC 8259) in UTF-8"),
            (b'{"code": NaN}', "body: must be JSON (RFC 8259) in UTF-8"),
            (b'{"code": "x", "code": "y"}', "body: must be JSON (RFC 8259) in UTF-8"),
            (b'\xef\xbb\xbf{"code": "x"}', "body: must be JSON (RFC 8259) in UTF-8"),
            (b"[" * 8000, "body: must be JSON (RFC 8259) in UTF-8"),
            (b"1" * 8000, "body: must be JSON (RFC 8259) in UTF-8"),
            (b"[]", "body: must be a JSON object"),
            (b'"code"', "body: must be a JSON object"),
            (b"null", "body: must be a JSON object"),
            (b"7", "body: must be a JSON object"),
        ],
    )
    def test_that_is_no_json_object(
        self, api: Api, token: str, untouched: Untouched, body: bytes | None, detail: str
    ) -> None:
        for route in POST_ROUTES:
            answer = api.request("POST", route, body, token=token)
            assert answer.problem == INVALID
            assert answer.json["detail"] == detail
        untouched()

    @pytest.mark.parametrize(
        "body",
        [b'{"code": "' + b"x" * 16_384 + b'"}', "{}".ljust(16_385).encode(), b"\xff" * 20_000],
        ids=["a long code", "blanks", "bytes"],
    )
    def test_of_more_than_16_kib(
        self, api: Api, token: str, untouched: Untouched, body: bytes
    ) -> None:
        for route in POST_ROUTES:
            assert api.request("POST", route, body, token=token).problem == TOO_LARGE
        untouched()

    def test_of_exactly_16_kib_is_read(self, api: Api, phone: Phone) -> None:
        body = json.dumps({"code": phone.login()}).ljust(16_384).encode()
        assert api.request("POST", "/login", body).status == 200

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/octet-stream", "application/json; charset=utf-8"]
    )
    def test_is_judged_by_its_content_and_not_by_its_label(
        self, api: Api, phone: Phone, media_type: str
    ) -> None:
        headers = {"Content-Type": media_type}
        answer = api.request("POST", "/login", {"code": phone.login()}, headers=headers)
        assert answer.status == 200
        broken = api.request("POST", "/login", b"\xff\xfe", headers=headers)
        assert broken.problem == INVALID

    def test_unknown_fields_are_ignored(self, api: Api, phone: Phone) -> None:
        assert api.login(phone.login(), fromANewerClient=[1]).status == 200


NO_TEXTS: list[object] = [None, 7, 1.5, True, [], {}, ""]
NO_CODES = [
    "x" * 257, "a b", "a&appid=wxfedcba9876543210", "a'b", 'a"b', "a%26appid", "a\n", "код",
    "a+b", "a/b", "a\x00", "\ud800",
]  # fmt: skip


class TestCode:
    @pytest.mark.parametrize("route", POST_ROUTES)
    def test_that_wx_cannot_have_given(self, api: Api, untouched: Untouched, route: str) -> None:
        expected = dict.fromkeys(
            NO_CODES, "must be the code from wx.login or getPhoneNumber, unmodified"
        )
        cases = [
            *expected.items(),
            *((code, "must be a non-empty string") for code in NO_TEXTS),
        ]
        for code, expectation in cases:
            answer = api.request("POST", route, damaged(code=code))
            assert answer.problem == INVALID
            assert answer.json["detail"] == f"code: {expectation}"
        untouched()

    def test_that_is_missing(self, api: Api, untouched: Untouched) -> None:
        for route in ("/login", "/phone"):
            answer = api.request("POST", route, {"Code": "x"})
            assert answer.problem == INVALID
            assert answer.json["detail"] == "code: is missing"
        untouched()

    def test_that_wechat_does_not_know(self, api: Api, token: str, deployment: Deployment) -> None:
        stored = deployment.dump()
        for code in ("x", "x" * 256, "0" + "A" * 31, "-_"):
            assert api.login(code).problem == (422, "login_code_rejected", "login_again")
            assert api.phone(code).problem == (422, "phone_code_rejected", "authorize_again")
            answer = api.decrypt(token=token, **damaged(code=code))
            assert answer.problem == (422, "login_code_rejected", "login_again")
        assert deployment.dump() == stored


class TestAppid:
    @pytest.mark.parametrize("route", POST_ROUTES)
    def test_that_is_not_served(
        self, api: Api, phone: Phone, untouched: Untouched, route: str
    ) -> None:
        for appid in ("wxfedcba9876543210", "", "*", None, 7, ["wx"], "WX01"):
            answer = api.request("POST", route, damaged(code=phone.login(), appid=appid))
            assert answer.problem == INVALID
            assert answer.json["detail"] == (
                "appid: must be the appid of a mini-program that is served here"
            )
        untouched()

    def test_that_is_not_the_sessions(self, api: Api, token: str, untouched: Untouched) -> None:
        other = {"appid": "wxfedcba9876543210"}
        for answer in (
            api.phone("x", token=token, **other),
            api.decrypt(token=token, **damaged(**other)),
            api.decrypt(token=token, **damaged(code="x", **other)),
        ):
            assert answer.problem == INVALID
            assert answer.json["detail"] == (
                "appid: must be the app that the Bearer token belongs to"
            )
        untouched()


def damaged(**changes: object) -> Document:
    fields = {"encryptedData": CIPHERTEXT, "iv": IV} | changes
    return {name: value for name, value in fields.items() if value is not ...}


NOT_CANONICAL = CIPHERTEXT[:-2] + "B="
BAD_OPEN_DATA: dict[str, tuple[Document, str]] = {
    "nothing": ({}, "encryptedData: is missing"),
    "no iv": (damaged(iv=...), "iv: is missing"),
    "no encryptedData": (damaged(encryptedData=...), "encryptedData: is missing"),
    "null": (damaged(encryptedData=None), "encryptedData: must be a non-empty string"),
    "a number": (damaged(iv=7), "iv: must be a non-empty string"),
    "empty": (damaged(encryptedData=""), "encryptedData: must be a non-empty string"),
    "no base64": (damaged(encryptedData="%%%="), "encryptedData: not base64 (RFC 4648)"),
    "base64url": (damaged(encryptedData="-_" * 32), "encryptedData: not base64 (RFC 4648)"),
    "without padding": (damaged(iv=IV.rstrip("=")), "iv: not base64 (RFC 4648)"),
    "with a line end": (damaged(iv=IV + "\n"), "iv: not base64 (RFC 4648)"),
    "a percent sign": (damaged(iv="%3D" + IV[3:]), "iv: not base64 (RFC 4648)"),
    "stray bits": (damaged(encryptedData=NOT_CANONICAL), "encryptedData: not canonical base64"),
    "an iv of 15 bytes": (
        damaged(iv=base64.b64encode(bytes(15)).decode()),
        "iv: must be base64 of 16 bytes (24 characters)",
    ),
    "an iv of 32 bytes": (damaged(iv=CIPHERTEXT), "iv: must be base64 of 16 bytes"),
    "half a block": (
        damaged(encryptedData=base64.b64encode(bytes(24)).decode()),
        "encryptedData: was cut: AES blocks are 16 bytes each",
    ),
    "a blank and more damage": (
        damaged(encryptedData=" " + CIPHERTEXT[2:]),
        "encryptedData: not base64 (RFC 4648)",
    ),
    "a cloudID beside": (
        damaged(cloudID="39_x"),
        "cloudID: cannot be sent together with encryptedData and iv",
    ),
    "a cloudID that is none": (
        {"cloudID": "39 x&openid=o"},
        "cloudID: must be the cloudID from wx",
    ),
    "a cloudID that is null": ({"cloudID": None}, "cloudID: must be a non-empty string"),
    "rawData alone": (damaged(rawData="{}"), "signature: is missing"),
    "signature alone": (damaged(signature="0" * 40), "rawData: is missing"),
    "a signature that is none": (
        damaged(rawData="{}", signature="0" * 39),
        "signature: must be 40 hexadecimal digits",
    ),
    "rawData that is an object": (
        damaged(rawData={}, signature="0" * 40),
        "rawData: must be a non-empty string",
    ),
}


class TestOpenData:
    def test_that_the_phone_cannot_have_given_names_its_field_and_spends_no_code(
        self, api: Api, phone: Phone, token: str, untouched: Untouched
    ) -> None:
        code = phone.login()
        for case, (body, detail) in BAD_OPEN_DATA.items():
            for answer in (api.decrypt(token=token, **body), api.decrypt(code=code, **body)):
                assert answer.problem == INVALID, case
                assert answer.json["detail"].startswith(detail), case
        untouched()
        assert api.login(code).status == 200

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda _, stale: stale, id="a stale key"),
            pytest.param(
                lambda phone, _: encrypted(phone, watermark(phone, appid="wxfedcba9876543210")),
                id="another app's data",
            ),
            pytest.param(
                lambda phone, _: encrypted(phone, {"phoneNumber": "13580006666"}),
                id="no watermark",
            ),
            pytest.param(
                lambda phone, _: legacy(phone.tap_phone_number(watermark_age=700)),
                id="an old watermark",
            ),
        ],
    )
    def test_that_is_not_fresh_data_of_this_user_and_app_is_only_counted(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        clock: time_machine.Traveller,
        make: Callable[[Phone, Document], Document],
    ) -> None:
        api.logged_in(phone)
        stale = legacy(phone.tap_phone_number())
        for _ in range(4):
            clock.shift(10)
            token = api.logged_in(phone)
        api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        before = deployment.dump()
        answer = api.decrypt(token=token, **make(phone, stale))
        assert answer.problem == UNDECRYPTABLE
        after = deployment.dump()
        (count,) = [item for item in after["Sessions"] if item not in before["Sessions"]]
        assert (count["session"], count["failures"]) == ({"S": "~failures"}, {"N": "1"})
        after["Sessions"].remove(count)
        before["Sessions"] = [i for i in before["Sessions"] if i["session"] != count["session"]]
        assert after == before


def encrypted(phone: Phone, plaintext: Document) -> Document:
    encrypted_data, iv = phone.encrypt(plaintext)
    return {"encryptedData": encrypted_data, "iv": iv}


def watermark(phone: Phone, **changes: Any) -> Document:
    mark = {"appid": phone.appid, "timestamp": 0} | changes
    return {"phoneNumber": "13580006666", "watermark": mark}


Ask = Callable[[Api, dict[str, str]], Answer]
WITH_A_SESSION: dict[str, Ask] = {
    "POST /phone": lambda api, headers: api.request(
        "POST", "/phone", {"code": "x"}, headers=headers
    ),
    "POST /decrypt": lambda api, headers: api.request(
        "POST", "/decrypt", damaged(), headers=headers
    ),
    "POST /decrypt with code": lambda api, headers: api.request(
        "POST", "/decrypt", damaged(code="x"), headers=headers
    ),
    "GET /session": lambda api, headers: api.request("GET", "/session", headers=headers),
    "DELETE /session": lambda api, headers: api.request("DELETE", "/session", headers=headers),
    "DELETE /session?all=true": lambda api, headers: api.request(
        "DELETE", "/session?all=true", headers=headers
    ),
}
MADE_UP = base64.urlsafe_b64encode(bytes(52)).decode().rstrip("=")


class TestBearer:
    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "{token}", "Token {token}",
         f"Bearer {MADE_UP}", "Bearer {token}x", "Bearer {token} x", "Bearer {token}, Bearer x",
         "Bearer x" * 500],
    )  # fmt: skip
    def test_that_is_no_token_of_ours(
        self, api: Api, token: str, untouched: Untouched, header: str
    ) -> None:
        headers = {"Authorization": header.replace("{token}", token)}
        for ask in WITH_A_SESSION.values():
            answer = ask(api, headers)
            assert answer.problem == SESSION_INVALID
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        untouched()

    def test_that_is_missing_where_it_is_needed(self, api: Api, untouched: Untouched) -> None:
        for route, ask in WITH_A_SESSION.items():
            if route not in {"POST /phone", "POST /decrypt with code"}:
                assert ask(api, {}).problem == SESSION_INVALID
        untouched()

    def test_that_has_expired(
        self, api: Api, token: str, untouched: Untouched, clock: time_machine.Traveller
    ) -> None:
        clock.shift(7 * 86_400)
        for ask in WITH_A_SESSION.values():
            assert ask(api, {"Authorization": f"Bearer {token}"}).problem == SESSION_INVALID
        untouched()

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
    def test_scheme_may_be_written_in_any_case(self, api: Api, token: str, scheme: str) -> None:
        headers = {"authorization": f"{scheme} {token}"}
        assert api.request("GET", "/session", headers=headers).status == 200


class TestQuery:
    def test_value_that_is_neither_true_nor_false_changes_nothing(
        self, api: Api, token: str, untouched: Untouched
    ) -> None:
        for name, ask in (("all", api.logout), ("verify", api.session)):
            for value in ("", "1", "TRUE", "yes", "true,true", f"true&{name}=false"):
                answer = ask(token, f"?{name}={value}")
                assert answer.problem == INVALID
                assert answer.json["detail"] == f"{name}: must be true or false"
        untouched()

    def test_values_that_nobody_asked_for_are_ignored(self, api: Api, token: str) -> None:
        assert api.session(token, "?appid=x&verify=false&code=%00").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/login"), ("POST", "/session"), ("PUT", "/phone"), ("GET", "/"), ("GET", "/admin")],
)
def test_a_route_that_does_not_exist_is_404_of_the_gateway(
    deployment: Deployment, method: str, path: str
) -> None:
    answer = Api(deployment.stack.url).request(method, path)
    assert (answer.status, answer.json) == (404, {"message": "Not Found"})
