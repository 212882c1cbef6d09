"""The events for `sam local invoke` work as they are: here without Docker, in this process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from local import APPID, COMPONENT, sample
from local.events import OUTCOMES, function_of, outcome
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack

FOLDER: Final = Path(__file__).parents[3] / "events"
LOCAL_ENV: Final = "local-env"
"""Not an event: the variables of `sam local`, beside the addresses of the stack."""
ADDRESSES: Final = {"AWS_ENDPOINT_URL", "WECHAT_BASE_URLS"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    wechat = SimulatedWeChat([App(APPID, "0" * 32, cloud=True)])
    wechat.set_up_platform(COMPONENT)
    with Stack.start(wechat=wechat) as stack:
        stack.environment.keep(clock=stack.wechat.clock.now)
        sample.add_to(stack)
        variables = read(LOCAL_ENV)["Parameters"]
        stack.environment.restart({name: variables[name] for name in variables.keys() - ADDRESSES})
        yield stack


def test_every_event_has_an_outcome_and_every_function_an_event(stack: Stack) -> None:
    assert {path.stem for path in FOLDER.iterdir()} == OUTCOMES.keys() | {LOCAL_ENV}
    functions = stack.application.functions.keys() - {"merchants", "platform_events"}
    assert {function_of(name) for name in OUTCOMES} == functions  # without those of a platform


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_event_comes_out_as_it_should(stack: Stack, name: str) -> None:
    assert outcome(stack.invoke(function_of(name), read(name))) == OUTCOMES[name]


def test_all_but_the_logout_come_out_the_same_a_second_time_and_a_year_later(stack: Stack) -> None:
    stack.wechat.clock.advance(365 * 86400)
    again = {name: outcome(stack.invoke(function_of(name), read(name))) for name in OUTCOMES}
    assert again == OUTCOMES | {"session-logout": "401 session_invalid"}


def test_sam_local_changes_only_variables_that_the_template_names(stack: Stack) -> None:
    changed = read(LOCAL_ENV)["Parameters"].keys()
    assert changed <= stack.application.environment.keys()


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return document
