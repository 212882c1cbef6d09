"""The events for `sam local invoke` work: here without Docker, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.demo import Walk
from local.events import OUTCOMES, function_of, live_event, outcome
from local.stack import Stack

FOLDER = Path(__file__).parents[3] / "events"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


def test_every_event_has_an_outcome_and_every_function_an_event(stack: Stack) -> None:
    assert {path.stem for path in FOLDER.iterdir()} == OUTCOMES.keys()
    assert {function_of(name) for name in OUTCOMES} == stack.application.functions.keys()


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_event_comes_out_as_it_should(stack: Stack, name: str) -> None:
    event = live_event(name, Walk(stack.url, stack.wechat_url))
    assert outcome(stack.invoke(function_of(name), event)) == OUTCOMES[name]


def test_an_event_that_does_not_exist_is_an_error(stack: Stack) -> None:
    with pytest.raises(KeyError, match="logon"):
        live_event("logon", Walk(stack.url, stack.wechat_url))
