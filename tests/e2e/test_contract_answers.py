"""Answers of every status keep to infra/openapi.yaml, and the check would notice if not.

The answers of every other test of this folder are held against it too, as each test ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from local.simulated_wechat import Fault, Phone
from tests.harness.api import Answer, Api, legacy
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment
from wechat_auth.errors import ERRCODES, PROBLEMS, WeChatError

Ask = Callable[[Api, Phone, Deployment], Answer]


def succeeding(api: Api, phone: Phone) -> Iterator[Answer]:
    """Give an answer of every kind of success."""
    yield api.login(phone.login())
    token = api.logged_in(phone)
    yield api.phone(phone.tap_phone_number().code)
    yield api.phone(phone.tap_phone_number(country_code="852").code, token=token)
    yield api.decrypt(token=token, **legacy(phone.tap_phone_number()))
    yield api.decrypt(code=phone.login(), **legacy(phone.tap_phone_number()))
    info = phone.user_info()
    token = api.logged_in(phone)
    yield api.decrypt(
        token=token,
        encryptedData=info.encrypted_data,
        iv=info.iv,
        rawData=info.raw_data,
        signature=info.signature,
    )
    yield api.decrypt(token=token, cloudID=info.cloud_id)
    yield api.session(token)
    yield api.session(token, "?verify=true")
    yield api.logout(token)
    yield api.logout(api.logged_in(phone), "?all=true")


def test_every_kind_of_success_keeps_to_it(api: Api, phone: Phone) -> None:
    answers = list(succeeding(api, phone))
    for answer in answers:
        assert_keeps_to_the_contract(answer)
    assert [answer.status for answer in answers] == [200] * 9 + [204] * 2


@contextmanager
def answering(deployment: Deployment, call: str, errcode: int) -> Iterator[None]:
    deployment.wechat.faults.add(Fault(call, "errcode", errcode=errcode, times=2))
    yield
    deployment.wechat.faults.clear()


def refused(errcode: int) -> Ask:
    def ask(api: Api, phone: Phone, deployment: Deployment) -> Answer:
        with answering(deployment, "code2Session", errcode):
            return api.login(phone.login())

    return ask


def undecryptable(api: Api, phone: Phone, _: Deployment) -> Answer:
    encrypted_data, iv = phone.encrypt(b"nonsense")
    return api.decrypt(token=api.logged_in(phone), encryptedData=encrypted_data, iv=iv)


def too_many_failures(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    deployment.configure(DECRYPT_FAILURES_PER_DAY="1")
    undecryptable(api, phone, deployment)
    return undecryptable(api, phone, deployment)


def storage_unavailable(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    deployment.fail("PutItem")
    return api.login(phone.login())


def internal_error(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    """Meet what no code of ours writes: a sealed blob that is a text."""
    token = api.logged_in(phone)
    (item,) = deployment.items("Sessions")
    deployment.put("Sessions", item | {"sealed": {"S": "x"}})
    return api.session(token)


FAILING: dict[str, Ask] = {
    "invalid_request": lambda api, _, __: api.login("&"),
    "session_invalid": lambda api, _, __: api.session("made-up"),
    "user_blocked": refused(40226),
    "user_restricted": refused(50002),
    "request_too_large": lambda api, _, __: api.login("x" * 20_000),
    "login_code_rejected": lambda api, _, __: api.login("unknown"),
    "phone_code_rejected": lambda api, _, __: api.phone("unknown"),
    "undecryptable": undecryptable,
    "too_many_requests": refused(45011),
    "too_many_failures": too_many_failures,
    "internal_error": internal_error,
    "misconfigured": refused(40125),
    "quota_exhausted": refused(45009),
    "storage_unavailable": storage_unavailable,
    "wechat_unavailable": refused(-1),
}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.code)
def test_every_problem_keeps_to_it(
    api: Api, phone: Phone, deployment: Deployment, problem: object
) -> None:
    (expected,) = [each for each in PROBLEMS if each is problem]
    answer = FAILING[expected.code](api, phone, deployment)
    assert_keeps_to_the_contract(answer)
    assert answer.problem == (expected.status, expected.code, expected.action)
    assert answer.json["type"] == f"urn:wechat-auth:problem:{expected.code}"
    assert answer.json["title"] == expected.title_zh
    assert ("Retry-After" in answer.headers) == (expected.retry_after is not None)
    assert ("WWW-Authenticate" in answer.headers) == (expected.status == 401)


def test_every_errcode_leads_to_a_documented_problem() -> None:
    codes = {WeChatError("getPhoneNumber", errcode).problem.code for errcode in ERRCODES}
    assert codes <= set(FAILING)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: replace(answer, status=418),
        lambda answer: replace(answer, content=answer.content.replace(b"retry", b"hurry")),
        lambda answer: replace(answer, content=answer.content.replace(b"503", b"500")),
        lambda answer: replace(answer, content=answer.content[:-1] + b',"openid":"o"}'),
        lambda answer: replace(answer, headers=dict(answer.headers) | {"Retry-After": "0"}),
        lambda answer: replace(answer, headers=dict(answer.headers) | {"Content-Type": "text/x"}),
    ],
)
def test_the_check_notices_what_breaks_it(
    deployment: Deployment, phone: Phone, spoil: Callable[[Answer], Answer]
) -> None:
    answer = refused(-1)(Api(deployment.stack.url), phone, deployment)
    assert_keeps_to_the_contract(answer)
    with pytest.raises(AssertionError):
        assert_keeps_to_the_contract(spoil(answer))
