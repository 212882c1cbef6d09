"""The run under load sees what is wrong: each of these backends must be objected to."""

import pytest

from tests.engine import engine_or_skip
from tests.load import breakages
from tests.load.environments import Breakage
from tests.load.load import run

SECONDS = 5


@pytest.mark.parametrize(
    ("breakage", "objection"),
    [
        (breakages.gives_the_number_of_another, "wrong answers"),
        (breakages.fails_too_often, "wrong answers"),
        (breakages.loses_sessions, "lost sessions"),
        (breakages.knows_nobody, "lost sessions"),
        (breakages.has_a_token_of_its_own, "access_tokens for"),
        (breakages.hoards_memory, "memory grew"),
        (breakages.logs_what_it_answers, "the functions wrote"),
    ],
)
def test_a_broken_backend_is_found_out(breakage: Breakage, objection: str) -> None:
    with engine_or_skip():
        objections = run(SECONDS, breakage=breakage).objections()
    assert [each for each in objections if objection in each], objections
