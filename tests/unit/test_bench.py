"""What the measurements are held against, and how they are told."""

from typing import Any

import pytest

from bench import report
from bench.artefacts import FLOOR

EVERYBODY = [
    *report.ROUND_TRIPS,
    FLOOR,
    report.CALLS,
    report.UNCOMPILED,
    report.FASTAPI,
    report.FASTAPI_SHIPPED,
]


@pytest.fixture
def figures() -> dict[str, Any]:
    """Figures that reach every target, by little."""
    first = dict.fromkeys(EVERYBODY, 1.0) | {
        "login": 1.14,
        "phone": 1.14 * 1.04,
        "authorizer": 1.04,
        "introspect": 1.09,
        report.UNCOMPILED: 2.3,
        report.FASTAPI_SHIPPED: 4.6,
        report.FASTAPI: 2.3,
    }
    return {
        "cold": {
            name: {"init": [s / 2], "first": [s], "cpu": [s], "rss": [60 * 2**20]}
            for name, s in first.items()
        },
        "emulated": {FLOOR: [1.0], "login": [1.0]},
        "warm": {name: {"cpu": [0.0014], "outside": [0.004], "wall": [0.1]} for name in EVERYBODY}
        | {
            "login": {"cpu": [0.0014], "outside": [0.0009], "wall": [0.1]},
            "phone": {"cpu": [0.0014 * 1.69], "outside": [0.004], "wall": [0.1]},
        },
        "round_trips": {
            name: {"warm": dict(calls), "cold": {}} for name, calls in report.ROUND_TRIPS.items()
        },
        "sizes": {"login": [2**20, 2**21]},
        "crypto": {"decrypt 16 ours": [2.9], "decrypt 16 openssl": [1.0]},
        "memory": {"512": {"init": [1.0], "first": [0.5], "warm": [0.01]}},
    }


def test_a_figure_at_the_limit_reaches_its_target() -> None:
    assert report.Target("", 2.0, 2.0).reached
    assert not report.Target("", 2.1, 2.0).reached
    assert report.Target("", 2.0, 2.0, at_least=True).reached
    assert not report.Target("", 1.9, 2.0, at_least=True).reached


def test_figures_within_the_limits_reach_every_target(figures: dict[str, Any]) -> None:
    assert "MISSED" not in report.report(figures)


@pytest.mark.parametrize(
    ("path", "value", "missed"),
    [
        (("cold", "login", "first"), [1.2], "cold login / floor"),
        (("cold", "authorizer", "first"), [1.1], "cold authorizer / floor"),
        (("cold", "introspect", "first"), [1.1], "cold introspect / cold authorizer"),
        (("cold", "phone", "first"), [1.2], "cold phone / cold login"),
        (("cold", report.UNCOMPILED, "first"), [1.0], "uncompiled build / cold login"),
        (("cold", report.FASTAPI_SHIPPED, "first"), [3.0], "FastAPI as sam build / cold login"),
        (("cold", report.FASTAPI, "first"), [1.5], "FastAPI compiled / cold login"),
        (("warm", "login", "outside"), [0.002], "warm login / FastAPI, outside the network"),
        (("warm", "login", "cpu"), [0.002], "warm login, processor"),
        (("warm", "phone", "cpu"), [0.0024], "warm phone / warm login, processor"),
        (("crypto", "decrypt 16 ours"), [3.1], "decrypt / OpenSSL, the worst size"),
        (("cold", "phone", "rss"), [61 * 2**20], "peak memory, the largest function"),
        (
            ("round_trips", "session", "warm"),
            {"GetItem:Sessions": 1, "GetSecretValue:KeyRing": 1},
            "round trips beyond the design",
        ),
    ],
)
def test_each_target_can_be_missed(
    figures: dict[str, Any], path: tuple[str, ...], value: object, missed: str
) -> None:
    place = figures
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert missed in {each.name for each in report.targets(figures) if not each.reached}


def test_the_report_tells_all_there_is(figures: dict[str, Any]) -> None:
    text = report.report(figures)
    for name in EVERYBODY:
        assert f"| {name}" in text
    assert "1 GetItem:Sessions" in text
    assert "| decrypt 16 bytes |      2.90 |" in text


def test_what_is_compared_was_measured_in_the_same_round(figures: dict[str, Any]) -> None:
    busy_rounds = {"login": [1.0, 1.0, 9.0], FLOOR: [1.0, 1.0, 9.0]}
    figures["cold"] = {
        name: {key: values * 3 for key, values in found.items()}
        | ({"first": busy_rounds[name]} if name in busy_rounds else {})
        for name, found in figures["cold"].items()
    }
    assert report.targets(figures)[0].measured == 1
    figures["cold"]["login"]["first"] = [1.0, 9.0, 9.0]  # slow by itself
    assert report.ratios(*(figures["cold"][name]["first"] for name in ("login", FLOOR))) == [
        1,
        9,
        1,
    ]
