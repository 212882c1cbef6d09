"""What grows with the logins, and where each limit is met."""

import math
import xml.etree.ElementTree as ET

import pytest

from docs.generate import cost, growth, tables
from docs.generate.growth import LIMITS, demand
from local.template import read_document
from tests.harness.transform import TEMPLATES


def test_a_million_logins_a_day_are_what_the_arithmetic_says() -> None:
    found = demand(1_000_000)
    assert found.requests == pytest.approx(1_000_000 / 0.7 / 86_400 * 5)
    assert found.of("POST /login") == pytest.approx(1_000_000 / 86_400 * 5)
    assert found.writes == pytest.approx(found.requests * 1.0)
    assert found.reads == pytest.approx(found.requests * 0.3)
    # 147 ms, and 2 % of them a second more.
    assert found.concurrency == pytest.approx(found.requests * (0.147 + 0.02 * 1.0))
    assert found.cny == pytest.approx(1_000_000 / 0.7 * 730 / 24 * 0.15 * 0.03, rel=1e-6)


def test_at_a_known_level_the_money_is_that_of_the_bill() -> None:
    logins = 1_000_000 * 0.7 / (730 / 24)
    assert demand(round(logins)).usd == pytest.approx(cost.total(1_000_000), rel=0.001)


@pytest.mark.parametrize("few", growth.LEVELS[:-1])
def test_ten_times_the_logins_never_cost_more_than_ten_times_as_much(few: int) -> None:
    assert demand(few).usd < demand(few * 10).usd < demand(few).usd * 10


def test_the_rates_are_the_defaults_of_the_template() -> None:
    parameters = read_document(TEMPLATES["template"])["Parameters"]
    rates = {limit.name.split()[0]: limit.allowed for limit in LIMITS if "template" in limit.name}
    assert rates == {
        name: parameters[name]["Default"]
        for name in ("LoginRate", "PhoneRate", "DecryptRate", "SessionRate")
    }


def test_a_limit_is_met_where_the_demand_reaches_it() -> None:
    for limit in LIMITS:
        at = limit.met_at()
        if not math.isinf(at) and at >= growth.LEVELS[-2]:
            assert limit.used(demand(round(at))) == pytest.approx(limit.allowed, rel=0.01)


def test_the_template_gives_way_first_and_the_token_never() -> None:
    first, *_, last = sorted(LIMITS, key=lambda limit: limit.met_at())
    assert first.name.startswith("LoginRate")
    assert first.met_at() == pytest.approx(200 / 5 * 86_400)
    assert last.met_at() == math.inf
    assert last.used(demand(10_000)) < 13


def test_the_chart_shows_each_level_and_each_limit_that_is_met() -> None:
    texts = [element.text for element in ET.fromstring(growth.growth_chart()).iter()]  # noqa: S314
    assert {f"{level:,}" for level in growth.LEVELS} <= set(texts)
    met = {limit.name for limit in LIMITS if limit.met_at() <= growth.LEVELS[-1]}
    assert met <= set(texts)
    assert len(met) >= 4


def test_the_chart_in_the_documents_is_the_one_drawn() -> None:
    assert tables.GROWTH.read_text("utf-8") == growth.growth_chart(), "run: make docs"
