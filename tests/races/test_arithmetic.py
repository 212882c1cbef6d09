"""The documentation's figures are those of the protocol, and the protocol's those of an engine."""

from pathlib import Path

import pytest

from docs.generate import tables
from docs.generate.access_token import READ_UNITS, SIZES, Crush, Outage, Steady
from tests.races import scenarios
from tests.races.crowd import Crowd
from wechat_auth.tokens.access_tokens import MAX_WAIT


@pytest.mark.parametrize("path", tables.ACCESS_TOKEN, ids=lambda path: path.name)
def test_the_document_shows_what_is_computed(path: Path) -> None:
    text, chinese = path.read_text("utf-8"), path.name.endswith(".zh-CN.md")
    assert tables.render_access_token(text, chinese=chinese) == text, "run: make docs"


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
