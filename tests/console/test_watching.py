"""What the feed tells is what really happened; needs no browser."""

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.console.feed import Message
from local.simulated_wechat import Fault
from tests.harness.api import Api
from tests.harness.deployment import Deployment


@pytest.fixture
def api(deployment: Deployment) -> Api:
    return Api(deployment.stack.url)


def test_each_call_belongs_to_the_request_that_made_it(
    api: Api, deployment: Deployment, told: list[Message]
) -> None:
    codes = [deployment.wechat.phone().login() for _ in range(24)]
    with ThreadPoolExecutor(8) as people:
        answers = list(
            people.map(lambda code: api.request("POST", "/login", {"code": code}), codes)
        )
    assert {answer.status for answer in answers} == {200}
    requests: defaultdict[str, list[Message]] = defaultdict(list)
    for message in told:
        requests[message.request].append(message)
    assert requests.keys() == {answer.headers["apigw-requestid"] for answer in answers}
    seen = set()
    for messages in requests.values():
        assert (messages[0].kind, messages[-1].kind) == ("request", "answer")
        names = [message.name for message in messages]
        assert names.count("code2Session") == names.count("PutItem") == 1
        code = messages[0].sent["code"]
        assert messages[names.index("code2Session")].sent["js_code"] == code
        seen.add(code)
    assert len(seen) > 20  # all but those that begin alike


def test_wechat_is_told_of_as_often_as_it_was_asked(
    api: Api, deployment: Deployment, told: list[Message]
) -> None:
    before = deployment.wechat.counts()
    phone = deployment.wechat.phone()
    token = api.request("POST", "/login", {"code": phone.login()}).json["token"]
    tap = phone.tap_phone_number()
    for _ in range(3):
        api.request("POST", "/phone", {"code": tap.code}, token=token)
    asked = {
        endpoint: number - before.get(endpoint, 0)
        for endpoint, number in deployment.wechat.counts().items()
        if number != before.get(endpoint, 0)
    }
    calls = [message.name for message in told if message.lane == "wechat"]
    assert {name: calls.count(name) for name in calls} == asked
    assert asked == {"code2Session": 1, "getStableAccessToken": 1, "getPhoneNumber": 1}


def test_aws_is_told_of_as_often_as_it_was_asked(
    api: Api, deployment: Deployment, told: list[Message]
) -> None:
    api.request("POST", "/login", {"code": deployment.wechat.phone().login()})
    calls = [message.name for message in told if message.lane in {"dynamodb", "secretsmanager"}]
    assert {name: calls.count(name) for name in calls} == dict(deployment.operations)
    [put] = [message for message in told if message.name == "PutItem"]
    assert (put.target, put.status, put.function) == ("Sessions", 200, "login")
    assert put.sent["Item"].keys() == {"user", "session", "sealed", "expires_at"}


def test_what_aws_refuses_is_told_each_time(
    api: Api, deployment: Deployment, told: list[Message]
) -> None:
    deployment.fail("PutItem")
    answer = api.request("POST", "/login", {"code": deployment.wechat.phone().login()})
    assert answer.problem == (503, "login_unfinished", "login_again")
    puts = [message for message in told if message.name == "PutItem"]
    assert [(put.status, put.outcome) for put in puts] == [(500, "InternalServerError")] * 2
    assert (told[-1].status, told[-1].outcome) == (503, "login_unfinished")


def test_a_call_to_wechat_that_breaks_off_is_told(
    api: Api, deployment: Deployment, told: list[Message]
) -> None:
    deployment.wechat.faults.add(Fault("code2Session", "drop_after", times=2))
    api.request("POST", "/login", {"code": deployment.wechat.phone().login()})
    [call] = [message for message in told if message.lane == "wechat"]
    assert (call.name, call.status, call.got, call.outcome) == (
        "code2Session", None, None, "no answer",
    )  # fmt: skip
    assert told[-1].outcome == "login_unfinished"


def test_what_serves_no_request_is_not_told(deployment: Deployment, told: list[Message]) -> None:
    outcome = deployment.stack.invoke("refresh_access_token", {})
    assert outcome[deployment.stack.appid] == "renewed"
    assert deployment.wechat.phone().login()
    assert told == []


def test_every_event_is_json(api: Api, deployment: Deployment, told: list[Message]) -> None:
    phone = deployment.wechat.phone()
    token = api.request("POST", "/login", {"code": phone.login()}).json["token"]
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'"text"', b'{"code": {"a": 1}}', None):
        api.request("POST", "/phone", body, token=token)
    api.request("GET", "/session?verify=true", token=token)
    for message in told:
        assert json.loads(json.dumps([message.sent, message.got]))
    assert [message.status for message in told if message.kind == "answer"] == [
        200, 400, 400, 400, 400, 400, 400, 400, 200,
    ]  # fmt: skip
