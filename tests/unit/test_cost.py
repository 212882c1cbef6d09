"""docs/cost.md says what cost.py computes, and that is what its own arithmetic comes to."""

import math
import re
from pathlib import Path

import pytest

from docs.generate import cost, tables
from docs.generate.cost import LIMITS, demand
from infra.cloudformation import read_document
from tests.harness.transform import TEMPLATES, Document, of_type
from tests.unit.test_template_policies import ALLOWED
from wechat_auth.secret_store import KEY_RING_AGE

EMF = re.compile(r'(?:count|measure_ms)\("(\w+)"')
OF_FEW = {
    "AccountFunctionLatency", "AccountFunctionFaults", "AccountRefusals",
    "Tickets", "TicketPushesRestarted", "PlatformEvents", "MerchantsAuthorized",
    "MerchantsWithdrawn",
}  # fmt: skip
"""Counted only with an account function, or with a third-party platform."""
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", tables.COST, ids=lambda path: path.name)
def test_the_tables_are_those_that_the_code_renders(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert tables.render_cost(text, chinese=path == tables.COST[1]) == text, "run: make docs"


@pytest.mark.parametrize("calls", cost.LEVELS)
def test_each_line_is_what_its_arithmetic_comes_to(calls: int) -> None:
    for line in cost.bill(calls):
        assert evaluate(line.arithmetic) == pytest.approx(line.usd, abs=1e-6, rel=1e-6), line.name


@pytest.mark.parametrize("path", tables.COST, ids=lambda path: path.name)
def test_each_amount_in_the_documents_is_what_stands_beside_it(path: Path) -> None:
    table = path.read_text("utf-8").partition("<!-- cost -->")[2].partition("<!-- /cost -->")[0]
    rows = re.findall(r"^\| ([^*|]+) \| [^|]+ \| ([\d.]+) \| [^|]+ \| (.+) \|$", table, re.M)
    assert len(rows) == len(cost.bill(1_000_000))
    for name, amount, arithmetic in rows:
        assert float(amount) == pytest.approx(evaluate(arithmetic), abs=0.00501), name


def test_the_totals_are_those_that_the_text_speaks_of() -> None:
    assert [round(cost.total(calls)) for calls in cost.LEVELS] == [14, 19, 409]
    assert [round(cost.wechat(calls), 2) for calls in cost.LEVELS] == [45, 4_500, 450_000]
    assert cost.fixed_address() == pytest.approx(36.50)


def test_the_load_adds_up() -> None:
    assert sum(route.share for route in cost.LOAD.routes.values()) == pytest.approx(1)
    assert cost.LOAD.cold.keys() == set(cost.LEVELS)


def test_what_is_counted_is_what_the_template_and_the_code_have() -> None:
    template = read_document(TEMPLATES["template"])
    observability = read_document(TEMPLATES["observability"])
    assert alarm_metrics(observability) == cost.ALARM_METRICS
    assert alarm_metrics(template) == cost.CANARY_ALARM_METRICS
    assert len(of_type(observability, "AWS::CloudWatch::Dashboard")) == 1
    assert len(of_type(template, "AWS::SecretsManager::Secret")) == cost.SECRETS
    assert len(metrics() - OF_FEW) == cost.METRICS
    functions = {
        key: each
        for key, each in template["Resources"].items()
        if each["Type"] == "AWS::Serverless::Function" and each.get("Condition") != "HasPlatform"
    }
    assert len(functions) == cost.FUNCTIONS
    assert cost.RING_READS == 3600 / KEY_RING_AGE
    owned = {f"{name}.Arn" for name in of_type(template, "AWS::DynamoDB::Table")}
    granted = [ALLOWED[f"{name.removesuffix('Function')}Role"][0] for name in functions]
    assert sum(len(owned & each.keys()) for each in granted) == cost.KEY_USERS
    queues = [
        each
        for each in functions.values()
        for event in each["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    assert len(queues) == cost.QUEUES
    assert template["Globals"]["Function"]["MemorySize"] / 1024 == cost.LOAD.memory_gb
    assert template["Parameters"]["SessionDays"]["Default"] == cost.LOAD.session_days


def metrics() -> set[str]:
    """Return every metric that the layers count."""
    sources = (ROOT / "layers/auth/wechat_auth").rglob("*.py")
    code = "".join(path.read_text("utf-8") for path in sources)
    return set(EMF.findall(code)) | set(re.findall(r'"(\w+Faults)"', code))


def alarm_metrics(document: Document) -> int:
    alarms = [
        each["Properties"]
        for each in document["Resources"].values()
        if each["Type"] == "AWS::CloudWatch::Alarm" and each.get("Condition") != "HasPlatform"
    ]
    return sum(
        sum("MetricStat" in metric for metric in alarm.get("Metrics", [{"MetricStat": {}}]))
        for alarm in alarms
    )


def evaluate(arithmetic: str) -> float:
    """Compute what a line of the bill says, units and all."""
    text = arithmetic.replace("\u00d7", "*").replace(",", "")
    text = re.sub(r"([\d.]+) KB", r"(\1 / 1000000)", text)
    text = re.sub(r"/GB| GB\b| s\b| h\b", "", text)
    assert re.fullmatch(r"[\d.()+*/ ]+", text), text
    return float(eval(text))  # noqa: S307  digits and operators only


def test_a_million_logins_a_day_are_what_the_arithmetic_says() -> None:
    found = demand(1_000_000)
    assert found.requests == pytest.approx(1_000_000 / 0.7 / 86_400 * 5)
    assert found.of("POST /login") == pytest.approx(1_000_000 / 86_400 * 5)
    assert found.writes == pytest.approx(found.requests * 1.1)
    assert found.reads == pytest.approx(found.requests * 0.3)
    # 147 ms, and 2 % of them a second more.
    assert found.concurrency == pytest.approx(found.requests * (0.147 + 0.02 * 1.0))
    assert found.cny == pytest.approx(1_000_000 / 0.7 * 730 / 24 * 0.15 * 0.03, rel=1e-6)


def test_at_a_known_level_the_money_is_that_of_the_bill() -> None:
    logins = 1_000_000 * 0.7 / (730 / 24)
    assert demand(round(logins)).usd == pytest.approx(cost.total(1_000_000), rel=0.001)


@pytest.mark.parametrize("few", cost.GROWTH[:-1])
def test_ten_times_the_logins_never_cost_more_than_ten_times_as_much(few: int) -> None:
    assert demand(few).usd < demand(few * 10).usd < demand(few).usd * 10


def test_a_flood_is_what_the_throttles_let_through() -> None:
    assert read_document(TEMPLATES["template"])["Parameters"]["RouteRate"]["Default"] == cost.RATE
    gateway, *_ = cost.flood("POST /login")
    assert gateway == pytest.approx(100 * 730 * 3600 / 1_000_000)
    together = sum(sum(cost.flood(route)) for route in cost.LOAD.routes)
    assert together == pytest.approx(4_785, abs=1)


def test_a_key_lasts_43_days_at_a_hundred_million_logins_a_day() -> None:
    assert cost.days_of_a_key(100_000_000) == pytest.approx(42.9, abs=0.1)
    assert cost.days_of_a_key(1_000_000) / 365 == pytest.approx(11.8, abs=0.1)
    seals = 2**32
    assert seals**2 / 2 / 2**96 == pytest.approx(1.2e-10, rel=0.1)


def test_a_limit_is_met_where_the_demand_reaches_it() -> None:
    for limit in LIMITS:
        at = limit.met_at()
        if not math.isinf(at) and at >= cost.GROWTH[-2]:
            assert limit.used(demand(round(at))) == pytest.approx(limit.allowed, rel=0.01)


def test_the_template_gives_way_first_and_the_token_never() -> None:
    first, *_, last = sorted(LIMITS, key=lambda limit: limit.met_at())
    assert first.name.startswith("RouteRate")
    assert first.met_at() == pytest.approx(100 / 5 * 86_400)
    assert last.met_at() == math.inf
    assert last.used(demand(10_000)) < 13
