"""The documentation's figures are those of the protocol, and the protocol's those of an engine."""

from pathlib import Path

import pytest

from tests.races import scenarios
from tests.races.arithmetic import (
    BEGIN,
    CALLS_A_DAY,
    DOCUMENTS,
    END,
    READ_UNITS,
    SIZES,
    Crush,
    Outage,
    Steady,
    table,
)
from tests.races.crowd import Crowd
from wechat_auth.access_token_item import MAX_WAIT


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_document_shows_what_is_computed(path: Path) -> None:
    """If not: python -m tests.races.arithmetic, with the layers on PYTHONPATH."""
    shown = path.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == table(chinese=DOCUMENTS[path])


def test_about_thirteen_token_calls_a_day() -> None:
    assert CALLS_A_DAY == 13


@pytest.mark.parametrize("size", SIZES)
def test_one_item_is_enough_at_every_size_of_the_table(size: int) -> None:
    assert Steady(size).busiest_second < READ_UNITS
    assert Outage(size).read_units_a_second < READ_UNITS
    assert Crush(size).seconds < MAX_WAIT


def test_a_real_crowd_asks_no_more_of_the_engine_than_is_computed(crowd: Crowd) -> None:
    figures = scenarios.cold(crowd)
    computed = Crush(figures.workers, call=max(figures.waits))
    assert figures.workers <= figures.operations["GetItem"] <= computed.reads
    assert 2 <= figures.operations["UpdateItem"] <= computed.lost_writes + 2
    assert figures.token_calls == 1
