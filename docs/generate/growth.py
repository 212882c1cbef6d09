"""How cost grows: from logins a day to concurrency, capacity, quotas and money.

The load is that of ``cost``. A limit is what AWS, WeChat or the template allows before anybody asks
for more; the tables of docs/cost.md say where each is met first and what to raise (`make docs`).

Sources: quotas of API Gateway, Lambda (concurrent executions), DynamoDB (on-demand throughput of a
table) and Secrets Manager, AWS; getStableAccessToken, WeChat.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from docs.generate import cost

LEVELS: Final = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
"""Logins a day that the table shows."""
PEAK: Final = 5
"""The busiest second, in multiples of the day's average: a guess, change it to yours."""
TOKEN_LIFE: Final = 7200 - 300
"""Seconds between two renewals of an access_token; nothing else asks WeChat for one."""
_DAY: Final = 86_400
_DAYS: Final = 730 / 24


@dataclass(frozen=True, slots=True)
class Demand:
    """What so many logins a day take at the busiest second, and in a month.

    Attributes:
        logins: A day.
        requests: A second, over all routes.
        concurrency: Requests that are served at the same time: those of a second times the seconds
            that each takes (Little's law), and as many Lambda environments.
        writes: DynamoDB write units a second.
        reads: DynamoDB read units a second.
        usd: What AWS bills for a month.
        cny: What WeChat bills for a month.
    """

    logins: int
    requests: float
    concurrency: float
    writes: float
    reads: float
    usd: float
    cny: float

    def of(self, route: str) -> float:
        """Return the requests of a route at the busiest second."""
        return self.requests * cost.LOAD.routes[route].share


@dataclass(frozen=True, slots=True)
class Limit:
    """What stands in the way at some number of logins.

    Attributes:
        name: As the table names it.
        name_zh: The same in Chinese.
        allowed: How much is allowed by default.
        used: How much of it a demand takes.
        remedy: What to raise.
        remedy_zh: The same in Chinese.
    """

    name: str
    name_zh: str
    allowed: float
    used: Callable[[Demand], float]
    remedy: str
    remedy_zh: str

    def met_at(self) -> float:
        """Return the logins a day at which it is met; infinite where growth does not touch it."""
        one, two = self.used(demand(LEVELS[-1])), self.used(demand(LEVELS[0]))
        return math.inf if one == two else self.allowed / one * LEVELS[-1]


def demand(logins: int) -> Demand:
    """Return what so many logins a day demand."""
    calls_a_day = logins / cost.LOAD.routes["POST /login"].share
    requests = calls_a_day / _DAY * PEAK
    calls = round(calls_a_day * _DAYS)
    cold = cost.LOAD.cold[max(level for level in cost.LEVELS if level <= calls)]
    seconds = cost.average(lambda route: route.milliseconds) / 1000 + cold * cost.LOAD.cold_seconds
    return Demand(
        logins=logins,
        requests=requests,
        concurrency=requests * seconds,
        writes=requests * cost.average(lambda route: route.writes),
        reads=requests * cost.average(lambda route: route.reads),
        usd=sum(line.usd for line in cost.bill(calls, cold)),
        cny=cost.wechat(calls),
    )


LIMITS: Final = (
    Limit("LoginRate of the template, a second", "模板的 LoginRate（每秒）", 200,
          lambda d: d.of("POST /login"), "parameter `LoginRate`", "参数 `LoginRate`"),
    Limit("PhoneRate of the template, a second", "模板的 PhoneRate（每秒）", 50,
          lambda d: d.of("POST /phone"), "parameter `PhoneRate`", "参数 `PhoneRate`"),
    Limit("DecryptRate of the template, a second", "模板的 DecryptRate（每秒）", 50,
          lambda d: d.of("POST /decrypt"), "parameter `DecryptRate`", "参数 `DecryptRate`"),
    Limit("SessionRate of the template, a second", "模板的 SessionRate（每秒）", 200,
          lambda d: d.of("GET /session"), "parameter `SessionRate`", "参数 `SessionRate`"),
    Limit("Lambda, concurrent executions of an account", "Lambda 账户并发数", 1000,
          lambda d: d.concurrency, "Service Quotas: Lambda, concurrent executions",
          "Service Quotas：Lambda 并发执行数"),
    Limit("API Gateway, requests of an account a second", "API Gateway 账户每秒请求数", 10_000,
          lambda d: d.requests, "Service Quotas: API Gateway, throttle rate",
          "Service Quotas：API Gateway 限流速率"),
    Limit("DynamoDB, writes of a new table a second", "DynamoDB 新表每秒写入", 4000,
          lambda d: d.writes, "nothing: it doubles by itself; or pre-warm the table",
          "无需操作：会自动翻倍；也可预热该表"),
    Limit("DynamoDB, writes of a table a second", "DynamoDB 单表每秒写入", 40_000,
          lambda d: d.writes, "Service Quotas: DynamoDB, table-level write throughput",
          "Service Quotas：DynamoDB 单表写吞吐"),
    Limit("WeChat, stable_token calls a day", "微信 stable_token 每日调用", 500_000,
          lambda _: _DAY / TOKEN_LIFE, "nothing: one token serves all",
          "无需操作：全体共用一个令牌"),
)  # fmt: skip


def growth_table(*, chinese: bool) -> str:
    """Return what each level of logins demands."""
    heads = (
        ("每天登录", "峰值请求/秒", "Lambda 并发", "写入单位/秒", "读取单位/秒", "AWS 美元/月",
         "微信 元/月")
        if chinese
        else ("logins a day", "requests/s at the peak", "Lambda concurrency", "write units/s",
              "read units/s", "AWS, USD a month", "WeChat, CNY a month")
    )  # fmt: skip
    rows = [f"| {' | '.join(heads)} |", "|--:|--:|--:|--:|--:|--:|--:|"]
    for each in map(demand, LEVELS):
        values = (each.requests, each.concurrency, each.writes, each.reads, each.usd, each.cny)
        rows.append(f"| {each.logins:,} | {' | '.join(map(_number, values))} |")
    return "\n".join(rows)


def limits_table(*, chinese: bool) -> str:
    """Return the limits, the first to be met first."""
    rows = [
        "| 上限 | 默认值 | 每天登录数到此触及 | 调高什么 |"
        if chinese
        else "| limit | by default | met at logins a day | what to raise |",
        "|---|--:|--:|---|",
    ]
    for each in sorted(LIMITS, key=Limit.met_at):
        at = each.met_at()
        met = ("永不" if chinese else "never") if math.isinf(at) else f"{_round(at):,}"
        name = each.name_zh if chinese else each.name
        remedy = each.remedy_zh if chinese else each.remedy
        rows.append(f"| {name} | {each.allowed:,} | {met} | {remedy} |")
    return "\n".join(rows)


def growth_chart() -> str:
    """Draw the AWS bill over logins a day, both in powers of ten, with a line at each limit."""
    left, top, width, height = 70, 50, 560, 300
    low, high = math.log10(LEVELS[0]), math.log10(LEVELS[-1])
    bills = [math.log10(demand(level).usd) for level in LEVELS]
    floor, ceiling = math.floor(min(bills)), math.ceil(max(bills))

    def x(logins: float) -> float:
        return left + (math.log10(logins) - low) / (high - low) * width

    def y(power: float) -> float:
        return top + (ceiling - power) / (ceiling - floor) * height

    points = [(x(level), y(power)) for level, power in zip(LEVELS, bills, strict=True)]
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} '
            f'{top + height + 60}" font-family="system-ui, sans-serif" font-size="12">'
        ),
        f'<rect width="{left + width + 40}" height="{top + height + 60}" fill="white"/>',
        '<text x="12" y="24" font-size="16">AWS, USD a month, by logins a day</text>',
    ]
    for power in range(floor, ceiling + 1):
        lines.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y(power):.1f}" y2="{y(power):.1f}" '
            f'stroke="#ddd"/><text x="{left - 8}" y="{y(power) + 4:.1f}" text-anchor="end">'
            f"{10**power:,}</text>"
        )
    lines += [
        f'<text x="{x(level):.1f}" y="{top + height + 20}" text-anchor="middle">{level:,}</text>'
        for level in LEVELS
    ]
    met = [limit for limit in sorted(LIMITS, key=Limit.met_at) if limit.met_at() <= LEVELS[-1]]
    for limit in met:
        at = x(limit.met_at())
        lines.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + height}" stroke="#c0392b" '
            f'stroke-dasharray="4 3"/><text transform="translate({at - 4:.1f} {top + height - 6}) '
            f'rotate(-90)" fill="#c0392b" font-size="10">{escape(limit.name)}</text>'
        )
    lines += [
        f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}" stroke="#1a7f5a" '
        'stroke-width="2"/>'
        for (ax, ay), (bx, by) in pairwise(points)
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"  # noqa: PLR2004


def _round(value: float) -> int:
    """Round to two figures: the guesses are not better than that."""
    return int(float(f"{value:.1e}"))
