"""The run under load sees what is wrong: each of these backends must be objected to."""

import pytest

from tests.harness.environment import CallHandler
from tests.hostile.load import sabotage
from tests.hostile.load.load import run

SECONDS = 5


@pytest.mark.parametrize(
    ("call", "objection"),
    [
        (sabotage.gives_the_number_of_another, "wrong answers"),
        (sabotage.loses_sessions, "lost sessions"),
        (sabotage.knows_nobody, "lost sessions"),
        (sabotage.has_a_token_of_its_own, "access_tokens for"),
        (sabotage.hoards_memory, "memory grew"),
        (sabotage.logs_what_it_answers, "the functions wrote"),
    ],
)
def test_a_broken_backend_is_found_out(engine: str, call: CallHandler, objection: str) -> None:
    objections = run(engine, SECONDS, call).objections()
    assert [each for each in objections if objection in each], objections
