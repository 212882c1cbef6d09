"""Legacy decrypt: what the phone encrypted comes out, and every failure is one and the same."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat, UserInfo
from tests.harness.api import Answer, Api, Document, legacy
from tests.harness.deployment import Asked, Deployment

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
UNDECRYPTABLE = (422, "undecryptable", "login_again")


def old_style(info: UserInfo) -> dict[str, str]:
    return {"encryptedData": info.encrypted_data, "iv": info.iv}


class TestDecrypt:
    def test_a_tap_gives_the_number_without_its_watermark(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        assert (answer.status, answer.json) == (200, {"data": NUMBER})

    def test_user_info_comes_without_the_openid_that_wechat_puts_into_it(
        self, api: Api, phone: Phone
    ) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        data = api.decrypt(token=token, **old_style(info)).json["data"]
        assert data == json.loads(info.raw_data) | {"unionId": phone.unionid}

    def test_data_of_any_other_kind_comes_as_it_is(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        steps = {"stepInfoList": [{"timestamp": 1445866601, "step": 100}]}
        encrypted_data, iv = phone.encrypt(steps | {"watermark": watermark(phone)})
        answer = api.decrypt(token=token, encryptedData=encrypted_data, iv=iv)
        assert answer.json == {"data": steps}

    def test_data_from_just_before_a_new_login_still_decrypts(
        self, api: Api, phone: Phone, clock: time_machine.Traveller
    ) -> None:
        api.logged_in(phone)
        taps = []
        for _ in range(3):
            taps.append(phone.tap_phone_number())
            clock.shift(5)
            token = api.logged_in(phone)
        answers = [api.decrypt(token=token, **legacy(tap)) for tap in taps]
        assert [answer.json for answer in answers] == [{"data": NUMBER}] * 3

    def test_with_a_login_code_it_logs_in_first_and_answers_the_session_too(
        self, api: Api, phone: Phone
    ) -> None:
        code = phone.login()
        answer = api.decrypt(code=code, **legacy(phone.tap_phone_number()))
        assert answer.status == 200
        assert answer.json["data"] == NUMBER
        session = answer.json["session"]
        assert api.session(session["token"]).json == {"expiresAt": session["expiresAt"]}

    def test_with_token_and_code_the_data_may_be_from_before_that_login(
        self, api: Api, phone: Phone
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        answer = api.decrypt(token=token, code=phone.login(), **legacy(tap))
        assert answer.json["data"] == NUMBER
        assert answer.json["session"]["token"] != token

    def test_its_age_is_limited_either_way(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        for age, status in ((590, 200), (610, 422), (-590, 200), (-610, 422)):
            tap = phone.tap_phone_number(watermark_age=age)
            assert api.decrypt(token=token, **legacy(tap)).status == status
        deployment.configure(OPEN_DATA_MAX_AGE="60")
        tap = phone.tap_phone_number(watermark_age=70)
        assert api.decrypt(token=token, **legacy(tap)).status == 422


Damage = Callable[[Phone], Document]


def encrypted(plaintext: Document | bytes, key: str | None = None) -> Damage:
    def make(phone: Phone) -> Document:
        encrypted_data, iv = phone.encrypt(plaintext, key)
        return {"encryptedData": encrypted_data, "iv": iv}

    return make


def watermark(phone: Phone, age: float = 0) -> Document:
    return {"appid": phone.appid, "timestamp": int(time.time() - age)}


def number_with(**changes: Any) -> Damage:
    """Encrypt a number with the user's own live session_key, as an attacker could."""

    def make(phone: Phone) -> Document:
        mark = watermark(phone) | changes
        return encrypted(NUMBER | {"watermark": mark})(phone)

    return make


def with_wrong_padding(phone: Phone) -> Document:
    tap = legacy(phone.tap_phone_number())
    raw = bytearray(base64.b64decode(tap["encryptedData"]))
    raw[-17] ^= 0xFF
    return tap | {"encryptedData": base64.b64encode(raw).decode()}


def with_another_iv(phone: Phone) -> Document:
    iv = base64.b64encode(secrets.token_bytes(16)).decode()
    return legacy(phone.tap_phone_number()) | {"iv": iv}


def with_a_wrong_signature(phone: Phone) -> Document:
    info = phone.user_info()
    return {**old_style(info), "rawData": info.raw_data, "signature": "0" * 40}


FAILURES: dict[str, Damage] = {
    "wrong padding": with_wrong_padding,
    "another iv": with_another_iv,
    "another key": encrypted({"watermark": {}}, base64.b64encode(bytes(16)).decode()),
    "no UTF-8": encrypted(b"\xff" * 40),
    "no JSON": encrypted(b'{"phoneNumber": '),
    "no watermark": encrypted(NUMBER),
    "another app's": number_with(appid="wxfedcba9876543210"),
    "too old": number_with(timestamp=1_700_000_000),
    "perfect, but not WeChat's": number_with(),
    "a wrong signature": with_a_wrong_signature,
    "an old tap": lambda phone: legacy(phone.tap_phone_number(watermark_age=3600)),
}


class TestFailures:
    @pytest.mark.parametrize("failure", FAILURES)
    def test_all_look_the_same_and_ask_the_same_of_others(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked, failure: str
    ) -> None:
        token = api.logged_in(phone)
        api.decrypt(token=token, **legacy(phone.tap_phone_number()))  # everything is warm
        body = FAILURES[failure](phone)
        deployment.operations.clear()
        calls = sum(asked(name) for name in deployment.wechat.counts())
        answer = api.decrypt(token=token, **body)
        assert answer.problem == UNDECRYPTABLE
        assert without_ids(answer) == {
            "type": "urn:wechat-auth:problem:undecryptable",
            "title": "授权信息已失效\uff0c请重试",
            "status": 422,
            "detail": "The data is not fresh data of this app for this user. Call wx.login and "
            "POST /login ahead of the tap, never inside its callback, then let the user tap once "
            "more.",
            "code": "undecryptable",
            "action": "login_again",
        }
        assert sorted(name.lower() for name in answer.headers) == [
            "apigw-requestid", "cache-control", "connection", "content-language",
            "content-length", "content-type", "date", "server",
        ]  # fmt: skip
        assert asked("checkEncryptedData") == 2
        assert sum(asked(name) for name in deployment.wechat.counts()) == calls + 1
        # One read, the count of failures (first of the day: tried, then begun), no more.
        assert deployment.operations == {"Query": 1, "UpdateItem": 2}

    def test_each_is_counted(self, api: Api, phone: Phone, deployment: Deployment) -> None:
        token = api.logged_in(phone)
        for make in FAILURES.values():
            assert api.decrypt(token=token, **make(phone)).problem == UNDECRYPTABLE
        (count,) = [item for item in deployment.items("Sessions") if "failures" in item]
        assert count["failures"] == {"N": str(len(FAILURES))}

    def test_a_failure_in_one_shot_is_no_different(self, api: Api, phone: Phone) -> None:
        for make in FAILURES.values():
            code = phone.login()
            assert api.decrypt(code=code, **make(phone)).problem == UNDECRYPTABLE


class TestCheckEncryptedData:
    def test_where_wechat_cannot_say_nothing_is_believed_and_nothing_is_counted(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, deployment: Deployment
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        wechat.faults.add(Fault("checkEncryptedData", "drop_after"))
        answer = api.decrypt(token=token, **legacy(tap))
        assert answer.problem == (503, "wechat_unavailable", "retry")
        assert len(deployment.items("Sessions")) == 1
        assert api.decrypt(token=token, **legacy(tap)).json == {"data": NUMBER}

    def test_may_be_switched_off(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        token = api.logged_in(phone)
        assert api.decrypt(token=token, **number_with()(phone)).json == {"data": NUMBER}
        assert api.decrypt(token=token, **with_wrong_padding(phone)).problem == UNDECRYPTABLE
        assert asked("checkEncryptedData") == 0


class TestSignature:
    def test_a_right_one_is_accepted_in_either_case(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        for signature in (info.signature, info.signature.upper()):
            answer = api.decrypt(
                token=token, **old_style(info), rawData=info.raw_data, signature=signature
            )
            assert answer.json["data"]["nickName"] == "Band"

    def test_it_is_made_with_the_key_that_the_data_was_encrypted_with(
        self, api: Api, phone: Phone, clock: time_machine.Traveller
    ) -> None:
        api.logged_in(phone)
        before = phone.user_info()
        clock.shift(5)
        token, after = api.logged_in(phone), phone.user_info()
        good = api.decrypt(
            token=token, **old_style(before), rawData=before.raw_data, signature=before.signature
        )
        mixed = api.decrypt(
            token=token, **old_style(before), rawData=after.raw_data, signature=after.signature
        )
        assert good.status == 200
        assert mixed.problem == UNDECRYPTABLE


class TestCloudID:
    @pytest.mark.parametrize("as_object", [True, False])
    def test_gives_the_same_data_in_whatever_form_wechat_answers(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, asked: Asked, as_object: bool
    ) -> None:
        wechat.settings.open_data_as_object = as_object
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        answer = api.decrypt(token=token, cloudID=tap.cloud_id)
        assert answer.json == {"data": NUMBER}
        assert asked("checkEncryptedData") == 0

    def test_needs_no_session_key(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        phone.expire_session_key()
        tap = phone.tap_phone_number()
        assert api.decrypt(token=token, cloudID=tap.cloud_id).json == {"data": NUMBER}

    def test_of_user_info_comes_without_the_openid(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        answer = api.decrypt(
            token=token, cloudID=info.cloud_id, rawData=info.raw_data, signature=info.signature
        )
        assert answer.json["data"] == json.loads(info.raw_data) | {"unionId": phone.unionid}

    def test_with_a_wrong_signature_is_refused(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        answer = api.decrypt(
            token=token, cloudID=info.cloud_id, rawData=info.raw_data, signature="0" * 40
        )
        assert answer.problem == UNDECRYPTABLE

    def test_of_another_user_made_up_or_expired_is_refused_and_counted(
        self,
        api: Api,
        phone: Phone,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
        deployment: Deployment,
    ) -> None:
        token = api.logged_in(phone)
        expired = phone.tap_phone_number().cloud_id
        clock.shift(301)
        for cloud_id in (expired, "made-up", wechat.phone().tap_phone_number().cloud_id):
            answer = api.decrypt(token=token, cloudID=cloud_id)
            assert answer.problem == UNDECRYPTABLE
        (count,) = [item for item in deployment.items("Sessions") if "failures" in item]
        assert count["failures"] == {"N": "3"}

    def test_where_cloud_development_is_off_the_operator_is_told(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        app = wechat.apps[0]
        wechat.put_app(App(app.appid, app.secret))
        answer = api.decrypt(token=token, cloudID=tap.cloud_id)
        assert answer.problem == (500, "misconfigured", "contact_support")

    @pytest.mark.parametrize(
        ("errcode", "problem"),
        [(87007, UNDECRYPTABLE), (40003, (401, "session_invalid", "login_again"))],
    )
    def test_what_wechat_refuses_about_the_user_calls_for_a_new_login(
        self,
        api: Api,
        phone: Phone,
        wechat: SimulatedWeChat,
        errcode: int,
        problem: tuple[int, str, str],
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        wechat.faults.add(Fault("getOpenData", "errcode", errcode=errcode))
        assert api.decrypt(token=token, cloudID=tap.cloud_id).problem == problem


class TestSessionKeyAtWeChat:
    def test_verify_tells_whether_this_logins_key_is_the_live_one(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        token = api.logged_in(phone)
        assert "sessionKeyValid" not in api.session(token).json
        assert asked("checkSessionKey") == 0
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is True
        phone.login()
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is False
        phone.expire_session_key()
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is False
        assert api.session(token, "?verify=false").status == 200
        assert asked("checkSessionKey") == 3

    def test_a_reset_takes_its_worth_from_what_was_encrypted_before(
        self, api: Api, phone: Phone
    ) -> None:
        token = api.logged_in(phone)
        stolen = phone.session_key
        assert api.logout(token, "?all=true").status == 204
        assert phone.session_key != stolen
        again = api.logged_in(phone)
        body = encrypted(NUMBER | {"watermark": watermark(phone)}, stolen)(phone)
        assert api.decrypt(token=again, **body).problem == UNDECRYPTABLE


def without_ids(answer: Answer) -> Document:
    return {name: value for name, value in answer.json.items() if name not in {"requestId", "rid"}}
