"""The figures as tables, and the targets they are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

from bench.artefacts import FLOOR

UNCOMPILED: Final = "login, without our Makefiles"
FASTAPI: Final = "FastAPI + Mangum + wechatpy, compiled"
CALLS: Final = "the two calls of a login, alone"
FASTAPI_SHIPPED: Final = "FastAPI + Mangum + wechatpy, as sam build"
_MIB: Final = 1024 * 1024

ROUND_TRIPS: Final = {
    "login": {"/sns/jscode2session": 1, "PutItem:Sessions": 1},
    "phone": {
        "GetItem:Sessions": 1,
        "/wxa/business/getuserphonenumber": 1,
        "PutItem:PhoneExchanges": 1,
        "UpdateItem:PhoneExchanges": 1,
    },
    "decrypt": {"Query:Sessions": 1, "/wxa/business/checkencryptedmsg": 1},
    "session": {"GetItem:Sessions": 1},
    "authorizer": {"GetItem:Sessions": 1},
    "introspect": {"GetItem:Sessions": 1},
    "access_token": {},
    "end_sessions": {"Query:Sessions": 1, "BatchWriteItem:": 1},
    "refresh_access_token": {"GetItem:AccessTokens": 1},
}
"""What a warm request may ask for, and no more."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target: what was measured, and the most it may be (``at_least``: the least)."""

    name: str
    measured: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def targets(figures: Mapping[str, Any]) -> list[Target]:
    """Hold the figures against what was aimed for."""
    cold, warm = figures["cold"], figures["warm"]

    def first(one: str, other: str) -> float:
        return median(ratios(cold[one]["first"], cold[other]["first"]))

    slowest = max(
        median(ratios(mine, figures["crypto"][other]))
        for name, mine in figures["crypto"].items()
        if name.startswith("decrypt") and name.endswith("ours")
        for other in [name.replace("ours", "openssl")]
    )
    most = max(median(cold[name]["rss"]) for name in ROUND_TRIPS)
    extra = sum(
        number - ROUND_TRIPS[name].get(call, 0)
        for name in ROUND_TRIPS
        for call, number in figures["round_trips"][name]["warm"].items()
        if number > ROUND_TRIPS[name].get(call, 0)
    )
    return [
        Target("cold login / floor", first("login", FLOOR), 1.15),
        Target("cold authorizer / floor", first("authorizer", FLOOR), 1.05),
        Target("cold introspect / cold authorizer", first("introspect", "authorizer"), 1.05),
        Target("cold phone / cold login", first("phone", "login"), 1.05),
        Target("uncompiled build / cold login", first(UNCOMPILED, "login"), 2.0, at_least=True),
        Target("FastAPI as sam build / cold login", first(FASTAPI_SHIPPED, "login"), 4.0,
               at_least=True),
        Target("FastAPI compiled / cold login", first(FASTAPI, "login"), 2.0, at_least=True),
        Target("warm login / FastAPI, outside the network",
               median(ratios(warm["login"]["outside"], warm[FASTAPI]["outside"])), 0.25),
        Target("warm phone / warm login, processor",
               median(ratios(warm["phone"]["cpu"], warm["login"]["cpu"])), 1.7),
        Target("warm login, processor", median(warm["login"]["cpu"]) * 1e3, 1.5, "ms"),
        Target("decrypt / OpenSSL, the worst size", slowest, 3.0),
        Target("peak memory, the largest function", most / _MIB, 60, "MiB"),
        Target("round trips beyond the design", extra, 0, ""),
    ]  # fmt: skip


def ratios(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide each figure by the other's of the same round, in which the machine was as busy.

    How busy it is differs more from minute to minute than the contestants do.
    """
    return [one / other for one, other in zip(mine, theirs, strict=True)]


def report(figures: Mapping[str, Any]) -> str:
    """Return all tables, as Markdown."""
    parts = [
        ("Targets", _targets(targets(figures))),
        ("Cold: from the start of the process to the first answer", _cold(figures["cold"])),
        ("Cold under Lambda's emulator", _emulated(figures["emulated"])),
        ("Warm: one request", _warm(figures["warm"])),
        ("Round trips", _round_trips(figures["round_trips"])),
        ("Size", _sizes(figures["sizes"])),
        ("Decrypting and sealing beside OpenSSL", _crypto(figures["crypto"])),
    ]
    if figures["memory"]:
        parts.append(("Memory setting: what a login takes and costs", _memory(figures["memory"])))
    return "\n\n".join(f"## {title}\n\n{table}" for title, table in parts)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first are numbers."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        " | ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [heads, rule, *rows]
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _targets(found: Sequence[Target]) -> str:
    return table(
        ("target", "measured", "aimed for", ""),
        [
            (
                each.name,
                f"{each.measured:.2f} {each.unit}".strip(),
                f"{'≥' if each.at_least else '≤'} {each.limit:g} {each.unit}".strip(),
                "reached" if each.reached else "MISSED",
            )
            for each in found
        ],
    )


def _quartiles(values: Sequence[float], digits: int = 2) -> str:
    low = middle = high = values[0]
    if len(values) > 1:
        low, middle, high = quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _ms(values: Sequence[float], digits: int = 0) -> str:
    return _quartiles([value * 1e3 for value in values], digits)


def _cold(cold: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    return table(
        ("", "× floor (quartiles)", "ms (quartiles)", "of it init", "CPU ms", "peak MiB"),
        [
            (
                name,
                _quartiles(ratios(found["first"], cold[FLOOR]["first"])),
                _ms(found["first"]),
                f"{median(found['init']) * 1e3:.0f}",
                f"{median(found['cpu']) * 1e3:.0f}",
                f"{median(found['rss']) / _MIB:.1f}",
            )
            for name, found in cold.items()
        ],
    )


def _emulated(emulated: Mapping[str, Sequence[float]]) -> str:
    return table(
        ("", "× floor (quartiles)", "ms (quartiles)"),
        [
            (name, _quartiles(ratios(found, emulated[FLOOR])), _ms(found))
            for name, found in emulated.items()
        ],
    )


def _warm(warm: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    alone = warm[CALLS]["outside"]
    return table(
        (
            *(
                "",
                "× FastAPI (quartiles)",
                "outside the network, ms",
                "more than the two calls, ms",
            ),
            *("CPU ms", "requests/s of one core"),
        ),
        [
            (
                name,
                _quartiles(ratios(found["outside"], warm[FASTAPI]["outside"])),
                _ms(found["outside"], 2),
                # Others make other calls.
                f"{_more(found['outside'], alone) * 1e3:.2f}" if _logs_in(name) else "",
                _ms(found["cpu"], 2),
                f"{1 / median(found['wall']):.0f}",
            )
            for name, found in warm.items()
        ],
    )


def _more(mine: Sequence[float], theirs: Sequence[float]) -> float:
    return median(one - other for one, other in zip(mine, theirs, strict=True))


def _logs_in(name: str) -> bool:
    return name == "login" or name not in ROUND_TRIPS


def _round_trips(found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    def told(calls: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in sorted(calls.items()))

    return table(
        ("", "warm", "cold"),
        [(name, told(calls["warm"]), told(calls["cold"])) for name, calls in found.items()],
    )


def _sizes(sizes: Mapping[str, Sequence[int]]) -> str:
    return table(
        ("", "zipped MiB", "unzipped MiB"),
        [
            (name, f"{packed / _MIB:.1f}", f"{unpacked / _MIB:.1f}")
            for name, (packed, unpacked) in sizes.items()
        ],
    )


def _crypto(crypto: Mapping[str, Sequence[float]]) -> str:
    rows = []
    for name, mine in crypto.items():
        what, size, whose = name.split()
        if whose == "ours":
            theirs = crypto[f"{what} {size} openssl"]
            ratio = median(ratios(mine, theirs))
            each = (f"{1e6 / median(values):,.0f}" for values in (mine, theirs))
            rows.append((f"{what} {size} bytes", f"{ratio:.2f}", *each))
    return table(("", "× OpenSSL", "ours, a second", "OpenSSL, a second"), rows)


def _memory(memory: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    return table(
        (
            *("MB", "vCPU", "init, ms", "first answer, ms", "cold, MB·s"),
            *("warm, ms", "warm with WeChat's 130 ms, MB·s"),
        ),
        [
            (
                size,
                f"{int(size) / 1769:.2f}",
                _ms(found["init"]),
                _ms(found["first"]),
                f"{int(size) * (median(found['init']) + median(found['first'])):.0f}",
                _ms(found["warm"], 1),
                f"{int(size) * (median(found['warm']) + 0.13):.0f}",
            )
            for size, found in memory.items()
        ],
    )
