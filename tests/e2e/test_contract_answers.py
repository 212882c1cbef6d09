"""Answers of every status keep to infra/openapi.yaml, and the check would notice if not.

The answers of every other test of this folder are held against it too, as each test ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from local.simulated_wechat import Fault, Phone
from tests.harness.api import Answer, Api, legacy
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment
from wechat_auth.errors import (
    INTERNAL_ERROR,
    LOGIN_UNFINISHED,
    STORAGE_UNAVAILABLE,
    TOO_MANY_FAILURES,
    Problem,
)

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
    yield api.introspect(token)
    yield api.introspect("nonsense")
    yield api.logout(token)
    yield api.logout(api.logged_in(phone), "?all=true")


def test_every_kind_of_success_keeps_to_it(api: Api, phone: Phone) -> None:
    answers = list(succeeding(api, phone))
    for answer in answers:
        assert_keeps_to_the_contract(answer)
    assert [answer.status for answer in answers] == [200] * 11 + [204] * 2


def undecryptable(api: Api, phone: Phone, _: Deployment) -> Answer:
    encrypted_data, iv = phone.encrypt(b"nonsense")
    return api.decrypt(token=api.logged_in(phone), encryptedData=encrypted_data, iv=iv)


def too_many_failures(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    deployment.configure(DECRYPT_FAILURES_PER_DAY="1")
    undecryptable(api, phone, deployment)
    return undecryptable(api, phone, deployment)


def login_unfinished(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    deployment.fail("PutItem")
    return api.login(phone.login())


def storage_unavailable(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    token = api.logged_in(phone)
    deployment.fail("GetItem")
    return api.session(token)


def internal_error(api: Api, phone: Phone, deployment: Deployment) -> Answer:
    """Meet what no code of ours writes: a sealed blob that is a text."""
    token = api.logged_in(phone)
    (item,) = deployment.items("Sessions")
    deployment.put("Sessions", item | {"sealed": {"S": "x"}})
    return api.session(token)


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (too_many_failures, TOO_MANY_FAILURES),
        (login_unfinished, LOGIN_UNFINISHED),
        (storage_unavailable, STORAGE_UNAVAILABLE),
        (internal_error, INTERNAL_ERROR),
    ],
)
def test_a_problem_that_no_other_test_of_this_folder_meets_keeps_to_it(
    api: Api, phone: Phone, deployment: Deployment, ask: Ask, problem: Problem
) -> None:
    answer = ask(api, phone, deployment)
    assert_keeps_to_the_contract(answer)
    assert answer.problem == (problem.status, problem.code, problem.action)
    assert ("Retry-After" in answer.headers) == (problem.retry_after is not None)


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
    deployment.wechat.faults.add(Fault("code2Session", "errcode", errcode=-1))
    answer = Api(deployment.stack.url).login(phone.login())
    assert_keeps_to_the_contract(answer)
    with pytest.raises(AssertionError):
        assert_keeps_to_the_contract(spoil(answer))
