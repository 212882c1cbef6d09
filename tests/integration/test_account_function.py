"""The team's account function: it is asked before the client is answered, and nothing gets lost."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Api, Document, legacy
from tests.harness.deployment import Asked, Deployment
from tests.harness.leaks import Written, all_that_is_written
from wechat_auth.account import MAX_CLAIMS, read_answer
from wechat_auth.errors import ACCOUNT_UNAVAILABLE, AccountRefusedError, AuthError
from wechat_auth.sessions import Account

if TYPE_CHECKING:
    from local.invocations import Invocations

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
UNAVAILABLE = (503, "account_unavailable", "retry")
LOGIN_AGAIN = (503, "login_unfinished", "login_again")
REFUSED = (403, "account_refused", "contact_support")
REJECTED = (422, "phone_code_rejected", "authorize_again")
SCHEMA = json.loads(
    (Path(__file__).parents[2] / "infra/account-function.schema.json").read_text("utf-8")
)
AGAINST_THE_SCHEMA: list[Any] = [
    None,
    [],
    "yes",
    {"accountId": ""},
    {"accountId": 7},
    {"accountId": "a" * 129},
    {"claims": "role=admin"},
    {"claims": [1]},
    {"account": True},
    {"account": {"isNew": "yes"}},
    {"account": {"needsPhone": 1}},
    {"refuse": True},
    {"refuse": "no"},
    {"refuse": {"title": ""}},
    {"refuse": {"title": "a" * 101}},
    {"refuse": {"code": "Banned!"}},
    {"refuse": {"code": "13800138000"}},
]
NONSENSE = [
    *(json.dumps(answer).encode() for answer in AGAINST_THE_SCHEMA),
    b"",
    b"<html>",
    b'{"claims": {"level": NaN}}',
    b'{"accountId": "a", "accountId": "b"}',
    b'{"accountId": "a\\nb"}',
    b'{"accountId": "\\ud800"}',
    json.dumps({"claims": {"text": "字" * 700}}).encode(),
]


class Team:
    """The account function of a test: it gives the answers that it was told to, the last for good.

    Attributes:
        invocations: What it was called with.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._answers: dict[str, list[Any]] = {"login": [{}], "phone": [{}]}
        self.invocations: Invocations = deployment.with_account_function(self._answer)

    def answers(self, event: str, *answers: Any) -> None:
        """Let the next messages of this kind have these answers; an exception is raised."""
        self._answers[event] = list(answers)

    def asked(self, event: str) -> list[Document]:
        """Return the messages of a kind so far."""
        return [each for each in self.invocations.events if each["event"] == event]

    def _answer(self, event: Document, _: object) -> Any:
        answers = self._answers[event["event"]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def team(deployment: Deployment) -> Iterator[Team]:
    """An account function, all of whose messages must keep to the schema."""
    team = Team(deployment)
    yield team
    message = {"$ref": "#/$defs/Message", "$defs": SCHEMA["$defs"]}
    for event in team.invocations.events:
        Draft202012Validator(message).validate(event)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    with all_that_is_written(capsys) as written:
        yield written


def context(deployment: Deployment, token: str) -> Document:
    """Return what the team's own HTTP APIs learn of a session."""
    event = {"headers": {"authorization": f"Bearer {token}"}}
    answer: Document = deployment.stack.invoke("authorizer", event)["context"]
    return {name: answer[name] for name in ("accountId", "claims")}


def faults(written: Written) -> list[Document]:
    lines = [json.loads(line) for line in written.output.splitlines()]
    return [
        {name: line.get(name) for name in ("message", "code", "call", "reason", "remedy")}
        for line in lines
        if line.get("message") in {"fault", "operator fault"}
    ]


def counted(written: Written, metric: str) -> float:
    lines = [json.loads(line) for line in written.output.splitlines()]
    return sum(float(line[metric][0]) for line in lines if "_aws" in line and metric in line)


@pytest.mark.usefixtures("team")
class TestLogin:
    def test_it_learns_who_logs_in_and_what_it_says_goes_into_the_session(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        known = {"accountId": "u-1", "claims": {"role": "成员", "level": 3}}
        team.answers("login", known | {"account": {"isNew": True, "needsPhone": False, "x": 1}})
        answer = api.login(phone.login())
        assert answer.json.keys() == {"token", "expiresAt", "account"}
        assert answer.json["account"] == {"isNew": True, "needsPhone": False}
        assert team.invocations.events == [
            {
                "version": 1,
                "event": "login",
                "appid": phone.appid,
                "openid": phone.openid,
                "unionid": phone.unionid,
            }
        ]
        assert context(deployment, answer.json["token"]) == {
            "accountId": "u-1",
            "claims": json.dumps(known["claims"]),
        }
        assert "u-1" not in repr(deployment.dump())

    def test_if_it_has_nothing_to_say_the_answer_is_as_without_it(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        team.answers("login", {"account": {"isNew": None}, "claims": None, "refuse": None})
        answer = api.login(phone.login())
        assert answer.json.keys() == {"token", "expiresAt"}
        assert context(deployment, answer.json["token"]) == {"accountId": "", "claims": "{}"}

    def test_if_it_fails_the_code_is_spent_and_there_is_no_session(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team, written: Written
    ) -> None:
        team.answers("login", RuntimeError("13800138000"), {})
        assert api.login(phone.login()).problem == LOGIN_AGAIN
        assert deployment.items("Sessions") == []
        assert faults(written) == [
            {
                "message": "fault",
                "code": "login_unfinished",
                "call": "AccountFunction",
                "reason": "Invoke: Unhandled error of the function",
                "remedy": None,
            }
        ]
        assert counted(written, "AccountFunctionFaults") == 1
        assert counted(written, "WeChatFaults") == 0
        assert api.login(phone.login()).status == 200

    def test_if_it_refuses_the_client_is_shown_its_words_and_there_is_no_session(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team, written: Written
    ) -> None:
        team.answers("login", {"refuse": {"title": "账号已注销", "code": "account_closed"}})
        answer = api.login(phone.login())
        assert answer.problem == REFUSED
        assert (answer.json["title"], answer.json["accountCode"]) == (
            "账号已注销",
            "account_closed",
        )
        assert "Content-Language" not in answer.headers
        assert deployment.items("Sessions") == []
        assert (counted(written, "AccountRefusals"), faults(written)) == (1, [])

    def test_if_it_refuses_without_a_word_the_client_has_ours(
        self, api: Api, phone: Phone, team: Team
    ) -> None:
        team.answers("login", {"refuse": {}})
        answer = api.login(phone.login())
        assert answer.problem == REFUSED
        assert answer.json["title"] == "该账号暂时无法使用，请联系客服"
        assert "accountCode" not in answer.json


@pytest.mark.usefixtures("team")
class TestPhoneCode:
    def test_it_gets_the_number_before_the_client_and_the_session_learns_what_it_says(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        token = api.logged_in(phone)
        team.answers("phone", {"accountId": "u-1", "account": {"isNew": True}})
        answer = api.phone(phone.tap_phone_number().code, token=token)
        assert answer.json == NUMBER | {"account": {"isNew": True}}
        (message,) = team.asked("phone")
        assert abs(message.pop("verifiedAt") - time.time()) < 30
        assert message == {
            "version": 1,
            "event": "phone",
            "appid": phone.appid,
            "openid": phone.openid,
            "unionid": phone.unionid,
            **NUMBER,
            "by": "phoneCode",
        }
        assert context(deployment, token) == {"accountId": "u-1", "claims": "{}"}

    def test_what_it_does_not_mention_stays_as_the_session_has_it(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        team.answers("login", {"accountId": "u-1", "claims": {"role": "guest"}})
        token = api.logged_in(phone)
        team.answers("phone", {}, {"claims": {"role": "member"}}, {"accountId": "u-2"})
        learnt = []
        for _ in range(3):
            api.phone(phone.tap_phone_number().code, token=token)
            learnt.append(context(deployment, token))
        assert learnt == [
            {"accountId": "u-1", "claims": '{"role": "guest"}'},
            {"accountId": "u-1", "claims": '{"role": "member"}'},
            {"accountId": "u-2", "claims": '{"role": "member"}'},
        ]

    def test_the_session_ends_when_it_would_have_ended(
        self, api: Api, phone: Phone, team: Team, clock: time_machine.Traveller
    ) -> None:
        token = api.logged_in(phone)
        ends = api.session(token).json["expiresAt"]
        clock.shift(3600)
        team.answers("phone", {"accountId": "u-1"})
        api.phone(phone.tap_phone_number().code, token=token)
        assert api.session(token).json["expiresAt"] == ends

    def test_who_logs_out_meanwhile_stays_logged_out(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)

        def log_out_meanwhile(_: Document, __: object) -> Document:
            api.logout(token)
            return {"accountId": "u-1"}

        code = phone.tap_phone_number().code
        deployment.with_account_function(log_out_meanwhile)
        assert api.phone(code, token=token).status == 200
        assert api.session(token).status == 401

    @pytest.mark.parametrize("with_session", [True, False])
    def test_what_it_accepted_is_answered_again_without_asking_it_again(
        self, api: Api, phone: Phone, team: Team, asked: Asked, with_session: bool
    ) -> None:
        sent = {"token": api.logged_in(phone)} if with_session else {"key": KEY}
        team.answers("phone", {"account": {"isNew": True}}, {"account": {"isNew": False}})
        code = phone.tap_phone_number().code
        answers = [api.phone(code, **sent).json for _ in range(3)]
        assert answers == [NUMBER | {"account": {"isNew": True}}] * 3
        assert len(team.asked("phone")) == asked("getPhoneNumber") == 1
        assert ("openid" in team.asked("phone")[0]) is with_session

    @pytest.mark.parametrize("with_session", [True, False])
    def test_if_it_fails_the_same_code_asks_again_and_the_number_is_that_of_one_exchange(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        team: Team,
        asked: Asked,
        with_session: bool,
    ) -> None:
        sent = {"token": api.logged_in(phone)} if with_session else {"key": KEY}
        team.answers("phone", RuntimeError(), "nonsense", {"account": {"isNew": True}})
        code = phone.tap_phone_number().code
        for _ in range(2):
            answer = api.phone(code, **sent)
            assert answer.problem == UNAVAILABLE
            assert answer.headers["Retry-After"] == "1"
            deployment.cold_start()
        for _ in range(2):
            assert api.phone(code, **sent).json == NUMBER | {"account": {"isNew": True}}
        assert asked("getPhoneNumber") == 1
        first, *others = team.asked("phone")
        assert others == [first] * 2

    def test_if_it_refuses_the_same_code_asks_again_too(
        self, api: Api, phone: Phone, team: Team, asked: Asked
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        team.answers("phone", {"refuse": {"title": "Closed"}}, {})
        answer = api.phone(code, token=token)
        assert (answer.problem, answer.json["title"]) == (REFUSED, "Closed")
        assert api.phone(code, token=token).json == NUMBER
        assert asked("getPhoneNumber") == 1

    def test_without_a_session_a_key_is_needed_before_anything_is_spent(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        code = phone.tap_phone_number().code
        answer = api.phone(code)
        assert answer.problem == (400, "invalid_request", "fix_request")
        assert answer.json["detail"].startswith("Idempotency-Key: is needed without a session")
        assert asked("getPhoneNumber") == 0
        assert api.phone(code, key=KEY).json == NUMBER

    def test_a_number_that_waits_for_it_is_for_who_sent_the_code_and_for_nobody_else(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, team: Team
    ) -> None:
        code = phone.tap_phone_number().code
        team.answers("phone", RuntimeError(), {})
        assert api.phone(code, key=KEY).problem == UNAVAILABLE
        assert api.phone(code, key=KEY[::-1]).problem == REJECTED
        assert api.phone(code, token=api.logged_in(wechat.phone())).problem == REJECTED
        assert len(team.asked("phone")) == 1
        assert api.phone(code, key=KEY).json == NUMBER

    def test_a_number_waits_for_it_five_minutes_and_accepted_late_is_kept_no_longer(
        self, api: Api, phone: Phone, team: Team, clock: time_machine.Traveller
    ) -> None:
        code = phone.tap_phone_number().code
        team.answers("phone", RuntimeError(), {})
        assert api.phone(code, key=KEY).problem == UNAVAILABLE
        clock.shift(290)
        assert api.phone(code, key=KEY).json == NUMBER
        clock.shift(15)
        assert api.phone(code, key=KEY).problem == REJECTED

    def test_the_table_holds_no_number_while_it_waits(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        team.answers("phone", RuntimeError())
        api.phone(phone.tap_phone_number().code, key=KEY)
        (item,) = deployment.items("PhoneExchanges")
        assert item.keys() == {"id", "sealed", "expires_at"}
        assert "13800138000" not in repr(item)

    def test_if_the_session_cannot_learn_it_is_asked_again(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team, asked: Asked
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        team.answers("phone", {"accountId": "u-1"})
        api.phone(phone.tap_phone_number().code, token=token)
        team.answers("phone", {"accountId": "u-2"})
        deployment.fail("UpdateItem", times=2)  # the write to the session, and its repetition
        assert api.phone(code, token=token).problem == (503, "storage_unavailable", "retry")
        assert api.phone(code, token=token).json == NUMBER
        assert context(deployment, token)["accountId"] == "u-2"
        assert (len(team.asked("phone")), asked("getPhoneNumber")) == (3, 2)

    def test_of_two_that_ask_at_once_the_first_to_be_accepted_is_kept(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        deployment.stack.invocations.failing = 1
        assert api.phone(code, token=token).problem == UNAVAILABLE

        def meanwhile_another(_: Document, __: object) -> Document:
            deployment.with_account_function(lambda *_: {"account": {"isNew": True}})
            assert api.phone(code, token=token).json["account"] == {"isNew": True}
            return {"account": {"isNew": False}}

        deployment.with_account_function(meanwhile_another)
        assert api.phone(code, token=token).json["account"] == {"isNew": False}
        assert api.phone(code, token=token).json["account"] == {"isNew": True}


@pytest.mark.usefixtures("team")
class TestOpenData:
    @pytest.mark.parametrize("by", ["encryptedData", "cloudID"])
    def test_it_gets_a_number_that_was_decrypted_and_repeats_ask_again(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team, by: str
    ) -> None:
        token, tap = api.logged_in(phone), phone.tap_phone_number()
        body = legacy(tap) if by == "encryptedData" else {"cloudID": tap.cloud_id}
        team.answers("phone", RuntimeError(), {"accountId": "u-1", "account": {"isNew": True}})
        assert api.decrypt(token=token, **body).problem == UNAVAILABLE
        assert api.decrypt(token=token, **body).json == {
            "data": NUMBER,
            "account": {"isNew": True},
        }
        first, second = team.asked("phone")
        assert first == second
        assert {name: first[name] for name in NUMBER} == NUMBER
        assert (first["by"], first["openid"]) == (by, phone.openid)
        assert isinstance(first["verifiedAt"], int)
        assert context(deployment, token)["accountId"] == "u-1"

    def test_in_one_shot_it_is_asked_about_the_login_and_about_the_number(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        team.answers("login", {"account": {"needsPhone": True}})
        team.answers("phone", {"accountId": "u-1", "account": {"isNew": True}})
        code, tap = phone.login(), phone.tap_phone_number()
        answer = api.decrypt(code=code, **legacy(tap))
        assert answer.json["data"] == NUMBER
        assert answer.json["account"] == {"isNew": True}
        assert answer.json["session"]["account"] == {"needsPhone": True}
        token = answer.json["session"]["token"]
        assert context(deployment, token)["accountId"] == "u-1"

    def test_if_it_fails_in_one_shot_there_is_no_session(
        self, api: Api, phone: Phone, deployment: Deployment, team: Team
    ) -> None:
        team.answers("phone", RuntimeError())
        code, tap = phone.login(), phone.tap_phone_number()
        assert api.decrypt(code=code, **legacy(tap)).problem == LOGIN_AGAIN
        assert [item for item in deployment.items("Sessions") if "sealed" in item] == []

    def test_other_open_data_is_none_of_its_business(
        self, api: Api, phone: Phone, team: Team
    ) -> None:
        token, info = api.logged_in(phone), phone.user_info()
        body = {"encryptedData": info.encrypted_data, "iv": info.iv}
        assert api.decrypt(token=token, **body).status == 200
        assert team.asked("phone") == []


@pytest.mark.usefixtures("team")
class TestFailures:
    def test_if_it_does_not_answer_in_time_the_client_is_told_in_time(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        answered = threading.Event()

        def sleep(_: Document, __: object) -> Document:
            answered.wait(30)
            return {}

        deployment.with_account_function(sleep)
        assert api.phone(phone.tap_phone_number().code, token=token).problem == UNAVAILABLE
        answered.set()

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("TooManyRequestsException", "fault"),
            ("ServiceException", "fault"),
            ("AccessDeniedException", "operator fault"),
            ("ResourceNotFoundException", "operator fault"),
        ],
    )
    def test_lambda_is_asked_once_and_what_it_says_is_logged(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        written: Written,
        code: str,
        message: str,
    ) -> None:
        token = api.logged_in(phone)
        before = deployment.operations["Invoke"]
        deployment.fail("Invoke", code)
        tap = phone.tap_phone_number().code
        assert api.phone(tap, token=token).problem == UNAVAILABLE
        assert deployment.operations["Invoke"] - before == 1
        (fault,) = faults(written)
        assert (fault["message"], fault["call"], fault["reason"]) == (
            message,
            "AccountFunction",
            f"Invoke: {code}",
        )
        assert ("AccountFunctionArn" in str(fault["remedy"])) is (message == "operator fault")
        deployment.heal()
        assert api.phone(tap, token=token).json == NUMBER

    def test_nothing_that_it_hears_or_says_is_written(
        self, api: Api, phone: Phone, team: Team, written: Written
    ) -> None:
        said = {"accountId": "an-account-id", "claims": {"vip": "an-unmistakable-claim"}}
        refusal = {"refuse": {"title": "an unmistakable title", "code": "unmistakable_code"}}
        team.answers("login", said)
        token = api.logged_in(phone)
        for answer in (
            said,
            refusal,
            RuntimeError("an unmistakable error"),
            {"accountId": ["an-account-id"]},
            {"claims": {"vip": "an-unmistakable-claim" * 99}},
        ):
            team.answers("phone", answer)
            api.phone(phone.tap_phone_number().code, token=token)
            api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        everything = "".join((written.output, *written.records, *written.exceptions))
        assert '"message":"request"' in everything
        for text in ("unmistakable", "an-account-id", "13800138000", phone.openid):
            assert text not in everything


class TestAnswer:
    @pytest.mark.parametrize("content", NONSENSE)
    def test_what_makes_no_sense_is_no_answer_and_is_not_quoted(self, content: bytes) -> None:
        with pytest.raises(AuthError) as caught:
            read_answer(content)
        assert caught.value.problem is ACCOUNT_UNAVAILABLE
        assert str(caught.value.reason).startswith("its answer: ")
        for told in ("13800138000", "admin", "Banned"):
            assert told not in f"{caught.value!r} {caught.value.reason}"

    def test_claims_may_take_two_kibibytes_of_utf_8(self) -> None:
        claims = {"text": "字" * ((MAX_CLAIMS - len('{"text":""}')) // 3)}
        assert read_answer(json.dumps({"claims": claims}).encode()) == Account(claims=claims)

    @pytest.mark.parametrize("answer", AGAINST_THE_SCHEMA)
    def test_the_schema_refuses_it_too(self, answer: object) -> None:
        valid = Draft202012Validator({"$ref": "#/$defs/Answer", "$defs": SCHEMA["$defs"]})
        assert not valid.is_valid(answer)

    def test_a_refusal_counts_whatever_else_it_says(self) -> None:
        with pytest.raises(AccountRefusedError) as caught:
            read_answer(b'{"accountId": "u-1", "refuse": {"title": "No"}}')
        assert (caught.value.title, caught.value.code) == ("No", None)
