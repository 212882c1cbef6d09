"""Legacy decrypt: what the phone encrypted comes out, and every failure is one and the same."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import time_machine

from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat, UserInfo
from tests.harness.api import Answer, Api, Document, legacy
from tests.harness.deployment import Asked, Deployment
from wechat_auth.failure_budget import QUESTIONS_PER_FAILURE

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
UNDECRYPTABLE = (422, "undecryptable", "login_again")
INVALID = (400, "invalid_request", "fix_request")
QUESTIONS = 5 * QUESTIONS_PER_FAILURE  # with `few_a_day`


@pytest.fixture
def few_a_day(deployment: Deployment) -> None:
    """Let a user fail 5 times a day, not 50, so that a day's end is near."""
    deployment.configure(DECRYPT_FAILURES_PER_DAY="5")


def old_style(info: UserInfo) -> dict[str, str]:
    return {"encryptedData": info.encrypted_data, "iv": info.iv}


class TestDecrypt:
    def test_a_tap_gives_the_number_without_its_watermark(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        assert (answer.status, answer.json) == (200, {"data": NUMBER})

    def test_user_info_comes_without_the_ids_that_wechat_puts_into_it(
        self, api: Api, phone: Phone
    ) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        data = api.decrypt(token=token, **old_style(info)).json["data"]
        assert data == json.loads(info.raw_data)

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

    def test_logins_within_one_second_keep_their_order(
        self, api: Api, phone: Phone, clock: time_machine.Traveller
    ) -> None:
        clock.move_to(int(time.time()), tick=False)
        taps = []
        for _ in range(8):
            token = api.logged_in(phone)
            taps.append(phone.tap_phone_number())
            clock.shift(0.01)
        answers = [api.decrypt(token=token, **legacy(tap)) for tap in taps[-4:]]
        assert [answer.json for answer in answers] == [{"data": NUMBER}] * 4

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
        # One read and the count of failures, no more.
        assert deployment.operations == {"Query": 1, "UpdateItem": 1}

    def test_each_is_counted(self, api: Api, phone: Phone, deployment: Deployment) -> None:
        token = api.logged_in(phone)
        for make in FAILURES.values():
            assert api.decrypt(token=token, **make(phone)).problem == UNDECRYPTABLE
        (count,) = [item for item in deployment.items("Sessions") if "failures" in item]
        assert count["failures"] == {"N": str(len(FAILURES))}

    def test_a_failure_in_one_shot_is_no_different_and_leaves_no_session(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        for make in FAILURES.values():
            code = phone.login()
            assert api.decrypt(code=code, **make(phone)).problem == UNDECRYPTABLE
        assert [item["session"]["S"] for item in deployment.items("Sessions")] == ["~failures"]

    def test_in_one_shot_the_failure_is_answered_though_the_session_cannot_be_ended(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.fail("DeleteItem")
        answer = api.decrypt(code=phone.login(), **with_wrong_padding(phone))
        assert answer.problem == UNDECRYPTABLE


class TestCheckEncryptedData:
    def test_where_wechat_cannot_say_nothing_is_believed_and_everything_is_counted(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, deployment: Deployment
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        wechat.faults.add(Fault("checkEncryptedData", "status", work_done=True))
        answer = api.decrypt(token=token, **legacy(tap))
        assert answer.problem == (503, "wechat_unavailable", "retry")
        assert counter(deployment)["failures"] == {"N": "1"}
        assert api.decrypt(token=token, **legacy(tap)).json == {"data": NUMBER}
        assert counter(deployment)["failures"] == {"N": "1"}

    def test_wechats_yes_is_remembered_so_that_repeats_ask_and_write_nothing(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        assert api.decrypt(token=token, **legacy(tap)).json == {"data": NUMBER}
        deployment.operations.clear()
        for _ in range(20):
            assert api.decrypt(token=token, **legacy(tap)).json == {"data": NUMBER}
        assert asked("checkEncryptedData") == 1
        assert deployment.operations == {"Query": 20}

    def test_it_is_remembered_for_that_ciphertext_and_that_user_and_not_past_its_age(
        self,
        api: Api,
        phone: Phone,
        clock: time_machine.Traveller,
        wechat: SimulatedWeChat,
        asked: Asked,
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        api.decrypt(token=token, **legacy(tap))
        forged = encrypted(NUMBER | {"watermark": watermark(phone)})(phone)
        assert api.decrypt(token=token, **forged).problem == UNDECRYPTABLE
        assert asked("checkEncryptedData") == 2
        stranger = api.logged_in(wechat.phone())
        assert api.decrypt(token=stranger, **legacy(tap)).problem == UNDECRYPTABLE
        assert asked("checkEncryptedData") == 3
        clock.shift(601)
        assert api.decrypt(token=token, **legacy(tap)).problem == UNDECRYPTABLE

    def test_of_a_remembered_ciphertext_every_failure_looks_the_same_and_is_counted(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        token, tap = api.logged_in(phone), legacy(phone.tap_phone_number())
        api.decrypt(token=token, **tap)
        for failures in range(1, 4):
            other_iv = base64.b64encode(secrets.token_bytes(16)).decode()
            answer = api.decrypt(token=token, **(tap | {"iv": other_iv}))
            assert answer.problem == UNDECRYPTABLE
            assert counter(deployment)["failures"] == {"N": str(failures)}
        assert asked("checkEncryptedData") == 1

    def test_a_yes_that_cannot_be_given_back_is_answered_all_the_same(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        deployment.backend.access_tokens.get(phone.appid)
        events = deployment.backend.aws.dynamodb.meta.events

        def refuse_the_next(**_: object) -> None:
            deployment.fail("UpdateItem")

        events.register("after-call.dynamodb.UpdateItem", refuse_the_next)
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        events.unregister("after-call.dynamodb.UpdateItem", refuse_the_next)
        assert answer.json == {"data": NUMBER}
        assert counter(deployment)["failures"] == {"N": "1"}

    @pytest.mark.usefixtures("few_a_day")
    def test_about_one_user_wechat_is_asked_so_often_a_day_and_not_oftener(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, asked: Asked
    ) -> None:
        token = api.logged_in(phone)
        for _ in range(QUESTIONS):
            answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
            assert answer.status == 200
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        assert answer.problem == (429, "too_many_requests", "wait")
        assert 43_000 < int(answer.headers["Retry-After"]) <= 43_200  # noon, UTC
        assert asked("checkEncryptedData") == QUESTIONS
        info = phone.user_info()  # what WeChat is not asked about is not refused
        assert api.decrypt(token=token, **old_style(info)).status == 200
        clock.shift(43_200)
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        assert answer.json == {"data": NUMBER}

    def test_may_be_switched_off(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        token = api.logged_in(phone)
        assert api.decrypt(token=token, **number_with()(phone)).json == {"data": NUMBER}
        assert api.decrypt(token=token, **with_wrong_padding(phone)).problem == UNDECRYPTABLE
        assert asked("checkEncryptedData") == 0


class TestWhoseData:
    @pytest.mark.parametrize(
        "number",
        [
            {"phoneNumber": "13580006666"},
            {"phoneNumber": "+8513800138000"},
            {"countryCode": ""},
            {"countryCode": None, "purePhoneNumber": "3800138001"},
            {"purePhoneNumber": "", "phoneNumber": "86"},
        ],
    )
    def test_a_phone_number_that_does_not_agree_with_itself_is_refused(
        self, api: Api, phone: Phone, deployment: Deployment, number: Document
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        token = api.logged_in(phone)
        body = encrypted(NUMBER | number | {"watermark": watermark(phone)})(phone)
        assert api.decrypt(token=token, **body).problem == UNDECRYPTABLE

    @pytest.mark.parametrize(
        "number",
        [
            {"phoneNumber": "+85213580006666", "purePhoneNumber": "13580006666"},
            {"phoneNumber": "+852-1358 0006666", "purePhoneNumber": "13580006666"},
            {"phoneNumber": "13580006666", "purePhoneNumber": "13580006666"},
        ],
    )
    @pytest.mark.parametrize("country", ["852", 852])
    def test_a_foreign_number_agrees_with_or_without_its_country_code(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        number: Document,
        country: str | int,
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        token, mark = api.logged_in(phone), {"watermark": watermark(phone), "new": "member"}
        body = encrypted(number | {"countryCode": country} | mark)(phone)
        answer = api.decrypt(token=token, **body)
        assert answer.json["data"] == number | {"countryCode": "852", "new": "member"}

    @pytest.mark.parametrize(
        ("number", "country"),
        [("13800138000", "86"), ("+8613800138000", "86"), ("85213800138000", "852")],
    )
    def test_a_country_code_that_is_null_is_what_the_numbers_say(
        self, api: Api, phone: Phone, deployment: Deployment, number: str, country: str
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        data = {"phoneNumber": number, "purePhoneNumber": "13800138000", "countryCode": None}
        body = encrypted(data | {"watermark": watermark(phone)})
        answer = api.decrypt(token=api.logged_in(phone), **body(phone))
        assert answer.json == {"data": data | {"countryCode": country}}

    @pytest.mark.parametrize("name", ["openId", "unionId"])
    def test_data_of_another_user_is_refused_whatever_encrypted_it(
        self, api: Api, phone: Phone, name: str
    ) -> None:
        token = api.logged_in(phone)
        ours: Document = {"openId": phone.openid, "unionId": phone.unionid}
        for data, status in ((ours, 200), ({}, 200), (ours | {name: "o" * 28}, 422)):
            body = encrypted(data | {"watermark": watermark(phone)})(phone)
            assert api.decrypt(token=token, **body).status == status

    def test_where_the_login_told_no_unionid_none_is_compared(
        self, api: Api, wechat: SimulatedWeChat
    ) -> None:
        app = wechat.apps[0]
        wechat.put_app(App(app.appid, app.secret))
        phone = wechat.phone()
        token = api.logged_in(phone)
        body = encrypted({"unionId": "u" * 28, "watermark": watermark(phone)})(phone)
        assert api.decrypt(token=token, **body).json == {"data": {}}


def counter(deployment: Deployment) -> Document:
    (item,) = [item for item in deployment.items("Sessions") if "failures" in item]
    return item


class TestSignature:
    def test_a_right_one_is_accepted_in_either_case(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        for signature in (info.signature, info.signature.upper()):
            answer = api.decrypt(
                token=token, **old_style(info), rawData=info.raw_data, signature=signature
            )
            assert answer.json["data"]["nickName"] == "Band"

    def test_it_is_made_with_a_session_key_of_this_user(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, clock: time_machine.Traveller
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
        other = api.decrypt(
            token=api.logged_in(wechat.phone()),
            **old_style(after), rawData=after.raw_data, signature=after.signature,
        )  # fmt: skip
        assert (good.status, mixed.status) == (200, 200)
        assert other.problem == INVALID

    @pytest.mark.parametrize(
        "rewritten",
        [
            lambda raw: json.dumps(json.loads(raw)),
            lambda raw: json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")),
            lambda raw: raw + " ",
            lambda _: "{}",
        ],
        ids=["blanks", "another order", "a blank behind", "something else"],
    )
    def test_raw_data_that_was_written_anew_is_named_and_no_failure(
        self, api: Api, phone: Phone, deployment: Deployment, rewritten: Callable[[str], str]
    ) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        raw = rewritten(info.raw_data)
        for body in (old_style(info), {"cloudID": info.cloud_id}):
            answer = api.decrypt(token=token, **body, rawData=raw, signature=info.signature)
            assert answer.problem == INVALID
            assert answer.json["detail"] == (
                "rawData: is not the text that signature was made of with a session_key of this "
                "user: send both exactly as wx gave them, rawData not parsed and written anew, and "
                "call wx.login before wx.getUserInfo; or send neither"
            )
        assert [item for item in deployment.items("Sessions") if "failures" in item] == []

    def test_raw_data_that_was_encoded_for_a_url_is_taken(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        raw = quote(info.raw_data, safe="")
        answer = api.decrypt(token=token, **old_style(info), rawData=raw, signature=info.signature)
        assert answer.status == 200

    def test_it_is_checked_before_the_ciphertext_of_which_it_tells_nothing(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        signed = {"rawData": "{}", "signature": info.signature}
        bad = api.decrypt(token=token, **with_wrong_padding(phone), **signed)
        good = api.decrypt(token=token, **old_style(info), **signed)
        assert without_ids(bad) == without_ids(good)
        assert good.problem == INVALID
        assert asked("checkEncryptedData") == 0


class TestTextAsWeChatWritesIt:
    """Control characters and halves of characters, which RFC 8259 does not allow."""

    @pytest.mark.parametrize(
        ("name", "read"),
        [
            (b"\x14abc", "\x14abc"),
            (b"a\x08b\x00c", "a\x08b\x00c"),
            (b"two\nlines\tand\r", "two\nlines\tand\r"),
            (b"caf\xe9", "caf\ufffd"),
            (b"half \xf0\x9f\x98", "half \ufffd"),
            (b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd"),
            (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
            (b"\\ud83d", "\ud83d"),
        ],
    )
    def test_a_nickname_is_read_and_no_failure_counted(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        asked: Asked,
        name: bytes,
        read: str,
    ) -> None:
        token = api.logged_in(phone)
        answer = api.decrypt(token=token, **encrypted(profile(phone, name))(phone))
        assert answer.json == {"data": {"nickName": read, "gender": 0}}
        assert [item for item in deployment.items("Sessions") if "failures" in item] == []
        assert asked("checkEncryptedData") == 0

    def test_where_an_altered_block_could_be_it_is_refused(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        for long in (b"a" * 20 + b"\x14" + b"a" * 20, bytes(range(1, 32)), b"\x14" * 40):
            text = profile(phone, long)
            assert api.decrypt(token=token, **encrypted(text)(phone)).problem == UNDECRYPTABLE

    def test_in_a_long_name_beyond_ascii_it_is_read(self, api: Api, phone: Phone) -> None:
        token = api.logged_in(phone)
        text = profile(phone, ("名" * 12 + "\x14" + "字" * 12).encode())
        data = api.decrypt(token=token, **encrypted(text)(phone)).json["data"]
        assert data["nickName"] == "名" * 12 + "\x14" + "字" * 12

    def test_without_any_openid_it_is_read_and_with_anothers_refused(
        self, api: Api, phone: Phone
    ) -> None:
        token = api.logged_in(phone)
        text = profile(phone, b"\x14")
        without, anothers = text.replace(b"openId", b"city"), text.replace(b'Id": "o', b'Id": "p')
        assert api.decrypt(token=token, **encrypted(without)(phone)).status == 200
        assert api.decrypt(token=token, **encrypted(anothers)(phone)).problem == UNDECRYPTABLE

    def test_a_phone_number_may_hold_it_if_wechat_vouches_for_the_number(
        self, api: Api, phone: Phone
    ) -> None:
        token = api.logged_in(phone)
        text = json.dumps(NUMBER | {"new": "#", "watermark": watermark(phone)}).encode()
        text = text.replace(b"#", b"\x14\xff")
        assert api.decrypt(token=token, **encrypted(text)(phone)).problem == UNDECRYPTABLE
        encrypted_data, iv = phone.encrypt(text, vouched_for=True)
        vouched_for = {"encryptedData": encrypted_data, "iv": iv}
        assert api.decrypt(token=token, **vouched_for).json["data"]["new"] == "\x14\ufffd"


def profile(phone: Phone, name: bytes) -> bytes:
    """Write a profile as WeChat would, whatever is in the nickname."""
    written = {"openId": phone.openid, "nickName": "#", "gender": 0}
    return json.dumps(written | {"watermark": watermark(phone)}).encode().replace(b"#", name)


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

    def test_beside_encrypted_data_it_serves_where_that_does_not_decrypt(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        token = api.logged_in(phone)
        together = phone.tap_phone_number()
        body = {**legacy(together), "cloudID": together.cloud_id, "errMsg": "getPhoneNumber:ok"}
        assert api.decrypt(token=token, **body).json == {"data": NUMBER}
        assert (asked("checkEncryptedData"), asked("getOpenData")) == (1, 0)
        body["encryptedData"], body["iv"] = phone.encrypt(b"under another key, as it were")
        assert api.decrypt(token=token, **body).json == {"data": NUMBER}
        assert asked("getOpenData") == 1
        # It stays counted: a cloudID of one's own must not make tries at a ciphertext free.
        assert counter(deployment)["failures"] == {"N": "1"}

    def test_of_user_info_comes_without_the_ids(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        answer = api.decrypt(
            token=token, cloudID=info.cloud_id, rawData=info.raw_data, signature=info.signature
        )
        assert answer.json["data"] == json.loads(info.raw_data)

    @pytest.mark.parametrize(("age", "status"), [(590, 200), (610, 422), (-610, 422)])
    def test_its_age_is_limited_either_way(
        self, api: Api, phone: Phone, age: int, status: int
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number(watermark_age=age)
        assert api.decrypt(token=token, cloudID=tap.cloud_id).status == status

    @pytest.mark.usefixtures("few_a_day")
    def test_it_may_be_exchanged_so_often_a_day_and_a_success_is_no_failure(
        self, api: Api, phone: Phone, deployment: Deployment, asked: Asked
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        statuses = [
            api.decrypt(token=token, cloudID=tap.cloud_id).status for _ in range(QUESTIONS + 1)
        ]
        assert statuses == [200] * QUESTIONS + [429]
        assert counter(deployment)["failures"] == {"N": "0"}
        assert asked("getOpenData") == QUESTIONS

    def test_with_a_wrong_signature_is_refused(self, api: Api, phone: Phone) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        answer = api.decrypt(
            token=token, cloudID=info.cloud_id, rawData=info.raw_data, signature="0" * 40
        )
        assert answer.problem == INVALID

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

    @pytest.mark.usefixtures("few_a_day")
    def test_verify_asks_so_often_a_day_and_not_oftener(
        self, api: Api, phone: Phone, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        token = api.logged_in(phone)
        for _ in range(QUESTIONS):
            assert api.session(token, "?verify=true").status == 200
        answer = api.session(token, "?verify=true")
        assert answer.problem == (429, "too_many_requests", "wait")
        assert answer.json["detail"] == (
            "WeChat has been asked about this user too often today. Wait for Retry-After seconds."
        )
        assert 43_000 < int(answer.headers["Retry-After"]) <= 43_200  # noon, UTC
        assert asked("checkSessionKey") == QUESTIONS
        assert api.session(token).status == 200
        clock.shift(43_200)
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is True

    def test_whoever_has_failed_too_often_may_still_verify(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.configure(DECRYPT_FAILURES_PER_DAY="1")
        token = api.logged_in(phone)
        for status in (422, 429):
            assert api.decrypt(token=token, **with_wrong_padding(phone)).status == status
        assert api.session(token, "?verify=true").status == 200

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
