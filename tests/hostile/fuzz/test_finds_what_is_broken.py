"""The fuzz can fail: it finds each of these faults in a backend that was spoilt on purpose."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.runtime import FunctionError
from tests.harness.deployment import Deployment
from tests.hostile.fuzz.people import People
from tests.hostile.fuzz.run import Report, fuzz
from tests.hostile.fuzz.test_contract_under_fuzz import leaks_in_replies
from wechat_auth.sessions import Session, Sessions

Answer = dict[str, Any]
Spoil = Callable[[str, Answer, Answer], Answer]

CASES = 60


def an_undocumented_status(name: str, event: Answer, answer: Answer) -> Answer:
    return answer | {"statusCode": 201} if answer["statusCode"] == 200 else answer


def a_problem_without_action(name: str, event: Answer, answer: Answer) -> Answer:
    if answer["statusCode"] < 400:
        return answer
    problem = json.loads(answer["body"])
    del problem["action"]
    return answer | {"body": json.dumps(problem)}


def a_header_too_few(name: str, event: Answer, answer: Answer) -> Answer:
    kept = {k: v for k, v in answer["headers"].items() if k != "Cache-Control"}
    return answer | {"headers": kept}


def another_media_type(name: str, event: Answer, answer: Answer) -> Answer:
    return answer | {"headers": answer["headers"] | {"Content-Type": "text/html"}}


def a_crash_on_a_text_beyond_ascii(name: str, event: Answer, answer: Answer) -> Answer:
    if not event.get("body", "").isascii() or "\\u" in event.get("body", ""):
        raise FunctionError
    return answer


def a_session_for_what_should_be_refused(name: str, event: Answer, answer: Answer) -> Answer:
    if name != "session" or answer["statusCode"] != 400:
        return answer
    answer["headers"]["Content-Type"] = "application/json"
    return answer | {"statusCode": 200, "body": '{"expiresAt":1}'}


@pytest.fixture
def spoil(deployment: Deployment) -> Callable[[Spoil], None]:
    """Spoil what the functions answer, on its way to the gateway."""

    def spoiling(spoilt: Spoil) -> None:
        deployment.wrap(
            lambda name, serve: lambda event, context: spoilt(name, event, serve(event, context))
        )

    return spoiling


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (an_undocumented_status, "status_code_conformance"),
        (a_problem_without_action, "response_schema_conformance"),
        (a_header_too_few, "response_headers_conformance"),
        (another_media_type, "content_type_conformance"),
        (a_crash_on_a_text_beyond_ascii, "not_a_server_error"),
        (a_session_for_what_should_be_refused, "negative_data_rejection"),
    ],
)
def test_a_fault_is_found_by_the_check_that_is_for_it(
    fault: Spoil,
    check: str,
    deployment: Deployment,
    people: People,
    spoil: Callable[[Spoil], None],
) -> None:
    spoil(fault)

    assert check in {name for name, _ in ask(deployment, people).failures}


def test_a_session_that_outlives_its_logout_is_found(
    deployment: Deployment, people: People
) -> None:
    class Immortal(Sessions):
        def end(self, session: Session) -> None:
            """Do nothing."""

    backend = deployment.backend
    table = backend.aws.table(backend.settings.sessions_table)
    backend.sessions = Immortal(
        table,
        backend.secrets,
        appids=backend.settings.appids,
        life=backend.settings.session_life,
    )
    report = fuzz(deployment.stack.url, people, cases=300, seed=1)

    assert people.revived
    assert report.failures == []


def test_a_reply_that_tells_an_openid_is_found(
    deployment: Deployment, people: People, spoil: Callable[[Spoil], None]
) -> None:
    def telling(name: str, event: Answer, answer: Answer) -> Answer:
        if answer["statusCode"] == 422:
            told = next(value for value, what in people.secrets.known.items() if what == "openid")
            answer["headers"]["X-Debug"] = f"user={told}"
        return answer

    spoil(telling)

    found = leaks_in_replies(ask(deployment, people), people)
    assert {status for _, status in found} == {422}
    assert {kind for kinds in found.values() for kind in kinds} == {"openid"}


def test_the_same_seed_asks_the_same_one_by_one(deployment: Deployment, people: People) -> None:
    once, again, otherwise = (
        fuzz(deployment.stack.url, people, cases=CASES, seed=seed) for seed in (1, 1, 2)
    )

    assert one_by_one(once) == one_by_one(again) != one_by_one(otherwise)


def one_by_one(report: Report) -> list[tuple[str, int]]:
    """Return what was asked before the links: where those lead depends on what was answered."""
    number = sum(n for (phase, _), n in report.cases.items() if phase != "stateful")
    return [(reply.operation, reply.status) for reply in report.replies[:number]]


def ask(deployment: Deployment, people: People) -> Report:
    return fuzz(deployment.stack.url, people, cases=CASES, seed=1)
