"""Whatever is sent, the answer is the contract's, and nothing that is written tells a secret.

FUZZ_CASES and FUZZ_SEED choose how many requests are sent, and which; a report says what came back.
"""

import os

import pytest

from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.harness.leaks import ALLOWED, all_that_is_written
from tests.hostile.fuzz.people import People
from tests.hostile.fuzz.run import Report, fuzz

CASES = int(os.environ.get("FUZZ_CASES", "5000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

REACHED = {
    "POST /login": {200, 400, 413, 422},
    "POST /phone": {200, 400, 401, 403, 413, 422},
    "POST /decrypt": {200, 400, 401, 403, 413, 422, 429},
    "GET /session": {200, 400, 401},
    "DELETE /session": {204, 400, 401},
    "POST /introspect": {200, 400, 401, 413},
}
"""What a request alone can bring about. The rest takes a blocked user, a quota or a fault.

The account function refuses some numbers (conftest.py).
"""

CHECKS = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "missing_required_header", "use_after_free", "ensure_resource_availability",
    "object_level_authorization", "allow_header_conformance",
}  # fmt: skip
"""All that Schemathesis has, except those that run.py leaves out with a reason."""

LINKS = {
    "POST /login -> POST /phone": 200,
    "POST /login -> POST /decrypt": 200,
    "POST /login -> GET /session": 200,
    "POST /login -> DELETE /session": 204,
    "POST /phone -> POST /decrypt": 200,
    "POST /decrypt -> GET /session": 200,
    "POST /decrypt -> DELETE /session": 204,
    "GET /session -> DELETE /session": 204,
}
"""Each link of the contract, and what comes of it while the session lives."""


@pytest.mark.timeout(60 + CASES // 5)
def test_every_answer_is_the_contracts_and_nothing_tells_a_secret(
    deployment: Deployment,
    people: People,
    capsys: pytest.CaptureFixture[str],
    say: Say,
) -> None:
    with all_that_is_written(capsys) as written:
        report = fuzz(deployment.stack.url, people, cases=CASES, seed=SEED)
        output = written.output
    say(str(report))

    assert report.failures == []
    assert people.revived == []
    assert set(report.no_route) == {404}
    assert not {status for _, status in report.statuses if status >= 500}
    assert_went_everywhere(report)

    people.note_access_tokens()
    assert output.count('"message":"request"') >= CASES // 2
    assert people.secrets.found_in(output) == []
    assert people.secrets.found_in("\n".join(written.records)) == []
    assert people.secrets.found_in("\n".join(written.exceptions)) == []
    assert leaks_in_replies(report, people) == {}
    assert people.secrets.found_in(repr(deployment.dump())) == []


def assert_went_everywhere(report: Report) -> None:
    """Check that the fuzz did not become one long refusal."""
    assert report.cases.total() >= CASES
    assert {phase for phase, _ in report.cases} == {"examples", "coverage", "fuzzing", "stateful"}
    assert set(report.statuses) == {(op, status) for op, met in REACHED.items() for status in met}
    assert min(report.statuses.values()) >= CASES // 2500
    assert set(report.checks) == CHECKS
    assert {link for link, _ in report.links} == LINKS.keys()
    for link, status in LINKS.items():
        assert report.links[link, status], link
    assert max(len(set(session)) for session in report.journeys) >= 3


def leaks_in_replies(report: Report, people: People) -> dict[tuple[str, int], list[str]]:
    told: dict[tuple[str, int], list[str]] = {}
    for reply in report.replies:
        told.setdefault((reply.operation, reply.status), []).append(reply.text)
    found = {}
    for (operation, status), texts in told.items():
        method, path = operation.split()
        allowed = ALLOWED.get((method, path, status), frozenset())
        if kinds := people.secrets.found_in("\n".join(texts), allowed=allowed):
            found[operation, status] = kinds
    return found
