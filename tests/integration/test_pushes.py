"""What WeChat pushes about users: received over HTTP, worked off the queue, told to the team."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from local.invocations import Invocations
from local.simulated_wechat import App, MessagePush, Phone, Pushed, SimulatedWeChat
from tests.harness.api import Api
from tests.harness.deployment import Asked, Deployment
from tests.harness.leaks import Written, all_that_is_written
from tests.harness.transform import ROOT

REVOKED, CLOSED = "user_authorization_revoke", "user_authorization_cancellation"
OK = (200, "success")
REFUSED = (403, "")
REJECTED = (422, "phone_code_rejected", "authorize_again")


@pytest.fixture
def push(deployment: Deployment) -> MessagePush:
    return deployment.receive_pushes()


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    with all_that_is_written(capsys) as written:
        yield written


@pytest.fixture
def told(deployment: Deployment) -> Iterator[Invocations]:
    """An account function, all of whose messages must keep to the schema."""
    invocations = deployment.with_account_function(lambda *_: {})
    yield invocations
    schema = json.loads((ROOT / "infra/account-function.schema.json").read_text("utf-8"))
    for event in invocations.events:
        Draft202012Validator(schema).validate(event)


class TestReceiving:
    def test_wechat_verifies_the_address(self, deployment: Deployment, push: MessagePush) -> None:
        asked = push.verification()
        assert deployment.push(asked) == (200, asked.query["echostr"])
        assert deployment.push(Pushed({**asked.query, "signature": "0" * 40})) == REFUSED

    @pytest.mark.parametrize("xml", [False, True])
    def test_a_push_is_answered_success_after_one_write(
        self, deployment: Deployment, push: MessagePush, phone: Phone, xml: bool
    ) -> None:
        push.xml = xml
        assert deployment.push(push.event(REVOKED, phone.openid, revoke_info="8")) == OK
        assert deployment.operations == {"GetSecretValue": 1, "SendMessage": 1}
        deployment.operations.clear()
        assert deployment.push(push.event(REVOKED, phone.openid, revoke_info="8")) == OK
        assert deployment.operations == {"SendMessage": 1}

    @pytest.mark.parametrize(
        "message",
        [
            {"MsgType": "text", "Content": "hello"},
            {"MsgType": "event", "Event": "user_enter_tempsession"},
            {"MsgType": "text", "Event": CLOSED},
            {"Event": CLOSED},
            {},
        ],
    )
    def test_other_messages_are_answered_and_left_alone(
        self, deployment: Deployment, push: MessagePush, message: dict[str, str], written: Written
    ) -> None:
        assert deployment.push(push.seal(message)) == OK
        assert deployment.operations["SendMessage"] == 0
        assert metric(written, "PushesIgnored") == 1

    def test_what_is_not_wechats_to_this_app_is_refused_without_a_word_and_counted(
        self, deployment: Deployment, push: MessagePush, phone: Phone, written: Written
    ) -> None:
        good = push.event(CLOSED, phone.openid)
        for pushed in (
            Pushed({**good.query, "msg_signature": "0" * 40}, good.body),
            Pushed({**good.query, "nonce": "1"}, good.body),
            Pushed({}, good.body),
            Pushed(good.query, b"{}"),
            Pushed(good.query, b" " * (64 * 1024) + (good.body or b"")),
            Pushed(good.query, b"\xff"),
        ):
            assert deployment.push(pushed) == REFUSED
        assert deployment.push(good, "wxfedcba9876543210") == REFUSED
        assert deployment.push(good, "x") == REFUSED
        assert metric(written, "PushesRefused") == 8
        assert deployment.operations["SendMessage"] == 0

    def test_a_message_of_another_app_of_this_deployment_is_refused(
        self, deployment: Deployment, push: MessagePush, phone: Phone
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32)
        deployment.serve_apps(*deployment.wechat.apps, other)
        keys = {"token": push.token, "encodingAesKey": push.encoding_aes_key}
        deployment.put_secret(
            "AppSecrets",
            {appid: {"secret": "0" * 32, "push": keys} for appid in (phone.appid, other.appid)},
        )
        deployment.cold_start()
        assert deployment.push(push.event(CLOSED, phone.openid), other.appid) == REFUSED
        assert deployment.push(push.event(CLOSED, phone.openid)) == OK

    def test_plain_mode_is_refused_and_the_log_says_to_choose_safe_mode(
        self, deployment: Deployment, push: MessagePush, written: Written
    ) -> None:
        assert deployment.push(push.plain({"MsgType": "event", "Event": CLOSED})) == REFUSED
        (line,) = lines(written, "push refused")
        assert "choose safe mode (安全模式)" in line["remedy"]

    def test_without_keys_the_log_says_to_store_them_and_once_stored_they_are_found(
        self, deployment: Deployment, clock: time_machine.Traveller, written: Written
    ) -> None:
        pushed = deployment.wechat.message_push().verification()
        assert deployment.push(pushed) == REFUSED
        (line,) = lines(written, "push refused")
        assert "no Token and EncodingAESKey are stored for this app" in line["remedy"]
        clock.shift(61)
        push = deployment.wechat.message_push()
        keys = {"token": push.token, "encodingAesKey": push.encoding_aes_key}
        app = deployment.wechat.apps[0]
        deployment.put_secret("AppSecrets", {app.appid: {"secret": app.secret, "push": keys}})
        assert deployment.push(pushed) == (200, pushed.query["echostr"])

    @pytest.mark.parametrize(
        ("keys", "remedy"),
        [
            ({"token": "a"}, '"token" must be the Token of the console'),
            ({"token": "AToken"}, "an EncodingAESKey is 43 letters and digits"),
            ({"token": "AToken", "encodingAesKey": "k" * 42}, "an EncodingAESKey is 43 letters"),
            ("AToken", "push must be an object"),
        ],
    )
    def test_keys_of_no_use_are_an_operators_fault(
        self, deployment: Deployment, keys: object, remedy: str, written: Written
    ) -> None:
        app = deployment.wechat.apps[0]
        deployment.put_secret("AppSecrets", {app.appid: {"secret": app.secret, "push": keys}})
        deployment.cold_start()
        assert deployment.push(deployment.wechat.message_push().verification()) == (500, "")
        (line,) = lines(written, "operator fault")
        assert remedy in line["remedy"]
        assert "docs/push.md" in line["remedy"]

    def test_a_key_that_was_changed_in_the_console_is_tried_beside_the_one_before(
        self, deployment: Deployment, push: MessagePush, phone: Phone
    ) -> None:
        before = push.event(REVOKED, phone.openid)
        old = push.encoding_aes_key
        push.replace_key()
        keys = {
            "token": push.token,
            "encodingAesKey": push.encoding_aes_key,
            "previousEncodingAesKey": old,
        }
        app = deployment.wechat.apps[0]
        deployment.put_secret("AppSecrets", {app.appid: {"secret": app.secret, "push": keys}})
        deployment.cold_start()
        assert deployment.push(before) == OK
        assert deployment.push(push.event(REVOKED, phone.openid)) == OK

    def test_if_the_queue_cannot_be_written_wechat_is_to_send_it_again(
        self, deployment: Deployment, push: MessagePush, phone: Phone
    ) -> None:
        deployment.fail("SendMessage")
        assert deployment.push(push.event(CLOSED, phone.openid)) == (503, "")
        deployment.heal()
        assert deployment.push(push.event(CLOSED, phone.openid)) == OK


class TestClosedAccount:
    def test_all_sessions_of_the_user_end_and_nobody_elses(
        self, deployment: Deployment, push: MessagePush, api: Api, wechat: SimulatedWeChat
    ) -> None:
        closed, other = wechat.phone(), wechat.phone()
        tokens = [api.logged_in(closed) for _ in range(2)]
        others = api.logged_in(other)
        assert deployment.push(push.event(CLOSED, closed.openid)) == OK
        assert deployment.stack.queues.work_off() == 1
        assert [api.session(token).status for token in (*tokens, others)] == [401, 401, 200]

    def test_repeated_late_or_out_of_order_it_ends_no_session_that_began_later(
        self,
        deployment: Deployment,
        push: MessagePush,
        api: Api,
        phone: Phone,
        clock: time_machine.Traveller,
    ) -> None:
        before = api.logged_in(phone)
        closed = push.event(CLOSED, phone.openid)
        older = push.event(CLOSED, phone.openid, age=3600)
        clock.shift(60)
        after = api.logged_in(phone)
        for pushed in (closed, closed, older, closed):
            assert deployment.push(pushed) == OK
        assert deployment.stack.queues.work_off() == 4
        assert [api.session(token).status for token in (before, after)] == [401, 200]

    def test_a_time_to_come_ends_nothing_to_come(
        self,
        deployment: Deployment,
        push: MessagePush,
        api: Api,
        phone: Phone,
        clock: time_machine.Traveller,
    ) -> None:
        assert deployment.push(push.event(CLOSED, phone.openid, age=-86_400)) == OK
        clock.shift(60)
        token = api.logged_in(phone)
        deployment.stack.queues.work_off()
        assert api.session(token).status == 200

    def test_if_the_table_fails_the_queue_brings_it_again(
        self, deployment: Deployment, push: MessagePush, api: Api, phone: Phone
    ) -> None:
        token = api.logged_in(phone)
        assert deployment.push(push.event(CLOSED, phone.openid)) == OK
        deployment.fail("Query")
        assert deployment.stack.queues.work_off() == 0
        deployment.heal()
        assert api.session(token).status == 200
        assert deployment.stack.queues.work_off() == 1
        assert api.session(token).status == 401


class TestWithdrawnPhoneNumber:
    def test_an_answer_that_is_kept_is_not_given_out_again_and_is_deleted(
        self, deployment: Deployment, push: MessagePush, api: Api, phone: Phone, asked: Asked
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        assert api.phone(code, token=token).status == 200
        deployment.push(push.event(REVOKED, phone.openid, revoke_info="7,8"))
        assert deployment.stack.queues.work_off() == 1
        assert api.phone(code, token=token).problem == REJECTED
        (mark,) = deployment.items("PhoneExchanges")
        assert mark.keys() == {"id", "expires_at"}
        assert asked("getPhoneNumber") == 1
        assert api.session(token).status == 200

    def test_what_the_user_consents_to_afterwards_is_kept_as_ever(
        self,
        deployment: Deployment,
        push: MessagePush,
        api: Api,
        phone: Phone,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        token = api.logged_in(phone)
        withdrawn = push.event(REVOKED, phone.openid, revoke_info="8")
        clock.shift(5)
        code = phone.tap_phone_number().code
        assert api.phone(code, token=token).status == 200
        for pushed in (withdrawn, push.event(REVOKED, phone.openid, age=60, revoke_info="8")):
            deployment.push(pushed)
        assert deployment.stack.queues.work_off() == 2
        assert api.phone(code, token=token).status == 200
        assert asked("getPhoneNumber") == 1

    @pytest.mark.parametrize(("revoke_info", "age"), [("7", 0), ("18", 0), ("8", 301)])
    def test_anything_else_or_too_old_leaves_no_mark(
        self, deployment: Deployment, push: MessagePush, phone: Phone, revoke_info: str, age: int
    ) -> None:
        deployment.push(push.event(REVOKED, phone.openid, age=age, revoke_info=revoke_info))
        assert deployment.stack.queues.work_off() == 1
        assert deployment.items("PhoneExchanges") == []


class TestAccountFunction:
    def test_it_is_told_of_each_event_in_the_words_of_the_contract(
        self,
        deployment: Deployment,
        push: MessagePush,
        phone: Phone,
        told: Invocations,
    ) -> None:
        now = int(deployment.wechat.clock.now())
        about = {"version": 1, "appid": phone.appid, "at": now - 60}
        for pushed in (
            push.event(REVOKED, phone.openid, age=60, revoke_info="8、99,abc"),
            push.event(CLOSED, phone.openid, age=60),
            push.event("user_info_modified", None, age=60),
        ):
            assert deployment.push(pushed) == OK
        assert deployment.stack.queues.work_off() == 3
        assert told.events == [
            about | {"event": REVOKED, "openid": phone.openid, "revoked": [8, 99]},
            about | {"event": CLOSED, "openid": phone.openid},
            about | {"event": "user_info_modified"},
        ]

    def test_a_plug_ins_user_is_passed_on(
        self, deployment: Deployment, push: MessagePush, told: Invocations
    ) -> None:
        sent: dict[str, str | int] = {
            "MsgType": "event", "Event": REVOKED, "OpenID": "oUser", "RevokeInfo": "8",
            "PluginID": "wxplugin", "OpenPID": "oPlugin", "CreateTime": "soon",
        }  # fmt: skip
        deployment.push(push.seal(sent))
        deployment.stack.queues.work_off()
        (event,) = told.events
        assert (event["pluginId"], event["openPid"]) == ("wxplugin", "oPlugin")

    def test_if_it_fails_it_is_told_again_and_sessions_end_all_the_same(
        self,
        deployment: Deployment,
        push: MessagePush,
        api: Api,
        phone: Phone,
        told: Invocations,
        written: Written,
    ) -> None:
        token = api.logged_in(phone)
        told.events.clear()
        told.failing = 1
        deployment.push(push.event(CLOSED, phone.openid))
        assert deployment.stack.queues.work_off() == 0
        assert api.session(token).status == 401
        assert metric(written, "AccountFunctionFaults") == 1
        assert deployment.stack.queues.work_off() == 1
        first, second = told.events
        assert first == second

    def test_without_one_it_is_counted_and_logged_without_the_openid(
        self, deployment: Deployment, push: MessagePush, phone: Phone, written: Written
    ) -> None:
        deployment.push(push.event(REVOKED, phone.openid, revoke_info="8"))
        deployment.stack.queues.work_off()
        assert metric(written, "UserEventsUntold") == 1
        (line,) = lines(written, "user event")
        assert (line["event"], line["revoked"], line["told"]) == (REVOKED, [8], False)
        assert phone.openid not in written.output


def lines(written: Written, message: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in written.output.splitlines() if line.startswith("{"))
    return [line for line in found if line.get("message") == message]


def metric(written: Written, name: str) -> float:
    found = (json.loads(line) for line in written.output.splitlines() if name in line)
    return float(sum(line[name][0] for line in found if name in line))
