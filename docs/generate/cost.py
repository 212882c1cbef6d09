"""What a month costs: published prices, one assumed load, and the arithmetic.

The tables of docs/cost.md are made here (`make docs`), so that they say what is computed.
Everything that is a guess is in `LOAD`; everything else is a price or a number of the template.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MONTH: Final = 730
"""Hours that AWS counts in a month."""
LEVELS: Final = (10_000, 1_000_000, 100_000_000)
"""Calls a month that the table shows."""


@dataclass(frozen=True, slots=True)
class Prices:
    """USD for one unit in us-east-1, as published in the first half of 2026, without free tiers.

    Sources: the price lists of API Gateway (HTTP API), Lambda (arm64), DynamoDB (on demand),
    Secrets Manager, KMS, CloudWatch, EventBridge Scheduler, SQS, EC2 (data transfer), VPC.
    """

    api_request: float = 1.00e-6
    lambda_request: float = 0.20e-6
    lambda_gb_second: float = 0.0000133334
    write_unit: float = 0.625e-6
    read_unit: float = 0.125e-6
    stored_gb: float = 0.25
    secret: float = 0.40
    secret_read: float = 0.05 / 10_000
    kms_request: float = 0.03 / 10_000
    log_gb: float = 0.50
    metric: float = 0.30
    alarm_metric: float = 0.10
    dashboard: float = 3.00
    schedule: float = 1.00e-6
    queue_request: float = 0.40e-6
    transfer_gb: float = 0.09
    nat_hour: float = 0.045
    nat_gb: float = 0.045
    address_hour: float = 0.005


@dataclass(frozen=True, slots=True)
class Route:
    """What one warm call of a route takes; tests/e2e/test_round_trips.py counts the units."""

    share: float
    milliseconds: int
    writes: int
    reads: int


@dataclass(frozen=True, slots=True)
class Load:
    """What is assumed of the calls.

    Attributes:
        routes: What the calls are. Nearly all of the milliseconds are WeChat's.
        memory_gb: MemorySize of the functions.
        cold: Share of calls that start an environment, by calls a month.
        cold_seconds: What such a start takes and bills.
        cold_secret_reads: AppSecrets and key ring.
        log_kb: Log of a call: the access log, the function's lines, Lambda's own.
        transfer_kb: What leaves AWS for a call: the answer, and the request to WeChat.
        session_kb: What a session takes in the table, DynamoDB's own 100 bytes included.
        session_days: SessionDays.
    """

    routes: dict[str, Route]
    memory_gb: float
    cold: dict[int, float]
    cold_seconds: float
    cold_secret_reads: int
    log_kb: float
    transfer_kb: float
    session_kb: float
    session_days: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill."""

    name: str
    name_zh: str
    arithmetic: str
    usd: float


PRICES: Final = Prices()
LOAD: Final = Load(
    routes={
        "POST /login": Route(share=0.70, milliseconds=150, writes=1, reads=0),
        "POST /phone": Route(share=0.15, milliseconds=200, writes=2, reads=1),
        "POST /decrypt": Route(share=0.05, milliseconds=200, writes=2, reads=1),
        "GET /session": Route(share=0.10, milliseconds=20, writes=0, reads=1),
        # Each of your servers' questions comes on top.
        "POST /introspect": Route(share=0, milliseconds=20, writes=0, reads=1),
    },
    memory_gb=0.5,
    cold={10_000: 0.20, 1_000_000: 0.02, 100_000_000: 0.005},
    cold_seconds=1.0,
    cold_secret_reads=2,
    log_kb=1.5,
    transfer_kb=2.0,
    session_kb=0.4,
    session_days=7,
)
RENEWALS: Final = MONTH * 60
"""The schedule runs every minute."""
RENEWAL_SECONDS: Final = 0.06
SECRETS: Final = 3
FUNCTIONS: Final = 11
QUEUES: Final = 1
"""Queues that a function works off, without a third-party platform."""
POLLS: Final = 15
"""A minute: Lambda asks an empty queue by 5 long polls of 20 s (Lambda, "Using Amazon SQS")."""
RING_READS: Final = 12
"""An hour, by each environment."""
PEAK: Final = 5
"""The busiest second, in multiples of the day's average: a guess, change it to yours."""
METRICS: Final = 19
"""Metrics of its own without account function and platform, as if each occurred in every hour."""
ALARM_METRICS: Final = 22
CANARY_ALARM_METRICS: Final = 11
KEY_USERS: Final = 15
"""Pairs of function and table: DynamoDB asks KMS for each every five minutes, at most."""
WECHAT_CNY: Final = 0.03
"""What WeChat bills for a phone number."""


def average(value: Callable[[Route], float]) -> float:
    """Return what a call takes on average over the routes."""
    return sum(route.share * value(route) for route in LOAD.routes.values())


def bill(calls: int, cold: float | None = None) -> list[Line]:
    """Return the monthly bill for so many calls, with monitoring, without fixed addresses.

    Args:
        calls: A month; one of `LEVELS` if ``cold`` is not given.
        cold: Share of them that start an environment.
    """
    cold = LOAD.cold[calls] if cold is None else cold
    warm_seconds = average(lambda route: route.milliseconds) / 1000
    seconds = calls * (warm_seconds + cold * LOAD.cold_seconds)
    writes, reads = average(lambda route: route.writes), average(lambda route: route.reads)
    stored_gb = (
        calls * LOAD.routes["POST /login"].share * LOAD.session_days / 30 * _gb(LOAD.session_kb)
    )
    p = PRICES
    n = f"{calls:,}"
    return [
        Line("API Gateway", "API Gateway", f"{n} × {p.api_request:.6f}", calls * p.api_request),
        Line("Lambda: requests", "Lambda：请求", f"{n} × {p.lambda_request:.7f}",
             calls * p.lambda_request),
        Line("Lambda: time", "Lambda：时长",
             f"{n} × ({warm_seconds:g} s + {cold:g} × {LOAD.cold_seconds:g} s) × "
             f"{LOAD.memory_gb:g} GB × {p.lambda_gb_second:.10f}",
             seconds * LOAD.memory_gb * p.lambda_gb_second),
        Line("DynamoDB: writes", "DynamoDB：写入", f"{n} × {writes:g} × {p.write_unit:.9f}",
             calls * writes * p.write_unit),
        Line("DynamoDB: reads", "DynamoDB：读取", f"{n} × {reads:g} × {p.read_unit:.9f}",
             calls * reads * p.read_unit),
        Line("DynamoDB: storage", "DynamoDB：存储",
             f"{n} × {LOAD.routes['POST /login'].share:g} × {LOAD.session_days}/30 × "
             f"{LOAD.session_kb:g} KB × {p.stored_gb:g}/GB",
             stored_gb * p.stored_gb),
        Line("Secrets Manager: reads", "Secrets Manager：读取",
             f"{n} × {cold:g} × {LOAD.cold_secret_reads} × {p.secret_read:.6f}",
             calls * cold * LOAD.cold_secret_reads * p.secret_read),
        Line("Key ring, read again (at most)", "密钥环：定期重读（上限）",
             f"({PEAK} × {n} / {MONTH * 3600:,} s × {warm_seconds:g} s + {FUNCTIONS}) × "
             f"{MONTH} h × {RING_READS} × {p.secret_read:.6f}",
             (PEAK * calls / (MONTH * 3600) * warm_seconds + FUNCTIONS)
             * MONTH * RING_READS * p.secret_read),
        Line("CloudWatch Logs", "CloudWatch Logs", f"{n} × {LOAD.log_kb:g} KB × {p.log_gb:.2f}/GB",
             calls * _gb(LOAD.log_kb) * p.log_gb),
        Line("Transfer out", "出站流量", f"{n} × {LOAD.transfer_kb:g} KB × {p.transfer_gb:.2f}/GB",
             calls * _gb(LOAD.transfer_kb) * p.transfer_gb),
        *standing(),
    ]  # fmt: skip


def standing() -> list[Line]:
    """Return the lines that are there even if no client calls."""
    p = PRICES
    renewal = p.schedule + p.lambda_request + RENEWAL_SECONDS * LOAD.memory_gb * p.lambda_gb_second
    asked = KEY_USERS * MONTH * 12
    return [
        Line("Secrets", "密钥（Secrets）", f"{SECRETS} × {p.secret:.2f}", SECRETS * p.secret),
        Line("Renewing access_token", "续期 access_token",
             f"{RENEWALS:,} × ({p.schedule:.6f} + {p.lambda_request:.7f} + {RENEWAL_SECONDS:g} s × "
             f"{LOAD.memory_gb:g} GB × {p.lambda_gb_second:.10f} + 0.5 × {p.read_unit:.9f})",
             RENEWALS * (renewal + 0.5 * p.read_unit)),
        Line("Queue of user events", "用户事件队列",
             f"{QUEUES} × {MONTH} h × 60 × {POLLS} × {p.queue_request:.7f}",
             QUEUES * MONTH * 60 * POLLS * p.queue_request),
        Line("KMS, for the tables (at most)", "KMS（表加密，上限）",
             f"{KEY_USERS} × {MONTH} h × 12 × {p.kms_request:.6f}", asked * p.kms_request),
        Line("Metrics", "自定义指标", f"{METRICS} × {p.metric:.2f}", METRICS * p.metric),
        Line("Alarms", "告警",
             f"({ALARM_METRICS} + {CANARY_ALARM_METRICS}) × {p.alarm_metric:.2f}",
             (ALARM_METRICS + CANARY_ALARM_METRICS) * p.alarm_metric),
        Line("Dashboard", "仪表盘", f"1 × {p.dashboard:.2f}", p.dashboard),
    ]  # fmt: skip


def fixed_address() -> float:
    """Return what one fixed address costs a month, without the traffic through it."""
    return MONTH * (PRICES.nat_hour + PRICES.address_hour)


def wechat(calls: int) -> float:
    """Return what WeChat bills for the phone numbers among the calls, in CNY."""
    return calls * LOAD.routes["POST /phone"].share * WECHAT_CNY


def cost_table(*, chinese: bool) -> str:
    """Return the bill at each level, each line with its arithmetic at 1 million."""
    bills = {calls: bill(calls) for calls in LEVELS}
    heads = ("1 万", "100 万", "1 亿") if chinese else ("10 thousand", "1 million", "100 million")
    first = "项目" if chinese else "line of the bill"
    sums = "100 万次时的算式（美元）" if chinese else "arithmetic at 1 million (USD)"
    rows = [f"| {first} | {' | '.join(heads)} | {sums} |", "|---|--:|--:|--:|---|"]
    for index, line in enumerate(bills[1_000_000]):
        amounts = " | ".join(_usd(bills[calls][index].usd) for calls in LEVELS)
        rows.append(f"| {line.name_zh if chinese else line.name} | {amounts} | {line.arithmetic} |")
    totals = " | ".join(f"**{_usd(total(calls))}**" for calls in LEVELS)
    rows.append(f"| **{'AWS 合计' if chinese else 'AWS, together'}** | {totals} | |")
    fees = " | ".join(f"{wechat(calls):,.0f} CNY" for calls in LEVELS)
    share = LOAD.routes["POST /phone"].share
    rows.append(
        f"| {'微信：手机号' if chinese else 'WeChat: phone numbers'} | {fees} | "
        f"1,000,000 × {share:g} × {WECHAT_CNY} CNY |"
    )
    return "\n".join(rows)


def total(calls: int) -> float:
    """Return what AWS bills for so many calls."""
    return sum(line.usd for line in bill(calls))


def load_table(*, chinese: bool) -> str:
    """Return what is assumed of the calls."""
    heads = (
        ("路由", "占比", "毫秒", "写入单位", "读取单位")
        if chinese
        else ("route", "share", "ms", "write units", "read units")
    )
    rows = [f"| {' | '.join(heads)} |", "|---|--:|--:|--:|--:|"]
    rows += [
        f"| `{name}` | {r.share:.0%} | {r.milliseconds} | {r.writes} | {r.reads} |"
        for name, r in LOAD.routes.items()
    ]
    means = (
        average(lambda route: route.milliseconds),
        average(lambda route: route.writes),
        average(lambda route: route.reads),
    )
    rows.append(
        f"| {'平均' if chinese else 'on average'} | 100% | {' | '.join(f'{m:g}' for m in means)} |"
    )
    return "\n".join(rows)


def prices_table(*, chinese: bool) -> str:
    """Return the prices, each with its unit."""
    p = PRICES
    items = [
        ("API Gateway, HTTP API", "百万次请求", "million requests", p.api_request * 1e6),
        ("Lambda", "百万次请求", "million requests", p.lambda_request * 1e6),
        ("Lambda, arm64", "百万 GB-秒", "million GB-seconds", p.lambda_gb_second * 1e6),
        ("DynamoDB on demand", "百万写入单位", "million write units", p.write_unit * 1e6),
        ("DynamoDB on demand", "百万读取单位", "million read units", p.read_unit * 1e6),
        ("DynamoDB", "GB-月", "GB-month", p.stored_gb),
        ("Secrets Manager", "每个密钥每月", "secret and month", p.secret),
        ("Secrets Manager", "1 万次读取", "10,000 reads", p.secret_read * 1e4),
        ("KMS", "1 万次请求", "10,000 requests", p.kms_request * 1e4),
        ("CloudWatch Logs", "GB（写入）", "GB taken in", p.log_gb),
        ("CloudWatch", "每个指标每月", "metric and month", p.metric),
        ("CloudWatch", "每个告警指标每月", "metric of an alarm and month", p.alarm_metric),
        ("CloudWatch", "每个仪表盘每月", "dashboard and month", p.dashboard),
        ("EventBridge Scheduler", "百万次调用", "million invocations", p.schedule * 1e6),
        ("Data transfer", "GB（出站）", "GB out", p.transfer_gb),
        ("NAT gateway", "小时", "hour", p.nat_hour),
        ("NAT gateway", "GB（处理）", "GB through it", p.nat_gb),
        ("Public IPv4 address", "小时", "hour", p.address_hour),
    ]
    names_zh = {
        "API Gateway, HTTP API": "API Gateway（HTTP API）",
        "Lambda, arm64": "Lambda（arm64）",
        "DynamoDB on demand": "DynamoDB（按需）",
        "Data transfer": "数据传输",
        "NAT gateway": "NAT 网关",
        "Public IPv4 address": "公有 IPv4 地址",
    }
    head = "| 服务 | 单位 | 美元 |" if chinese else "| service | for | USD |"
    rows = [
        f"| {names_zh.get(service, service) if chinese else service} | {zh if chinese else en} "
        f"| {price:.4g} |"
        for service, zh, en, price in items
    ]
    return "\n".join([head, "|---|---|--:|", *rows])


GROWTH: Final = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
"""Logins a day that the table shows."""
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
        return self.requests * LOAD.routes[route].share


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
        one, two = self.used(demand(GROWTH[-1])), self.used(demand(GROWTH[0]))
        return math.inf if one == two else self.allowed / one * GROWTH[-1]


def demand(logins: int) -> Demand:
    """Return what so many logins a day demand."""
    calls_a_day = logins / LOAD.routes["POST /login"].share
    requests = calls_a_day / _DAY * PEAK
    calls = round(calls_a_day * _DAYS)
    cold = LOAD.cold[max(level for level in LEVELS if level <= calls)]
    seconds = average(lambda route: route.milliseconds) / 1000 + cold * LOAD.cold_seconds
    return Demand(
        logins=logins,
        requests=requests,
        concurrency=requests * seconds,
        writes=requests * average(lambda route: route.writes),
        reads=requests * average(lambda route: route.reads),
        usd=sum(line.usd for line in bill(calls, cold)),
        cny=wechat(calls),
    )


RATE: Final = 100
"""RouteRate: requests a second that the template lets through to each route."""
LIMITS: Final = (
    Limit("RouteRate of the template: logins a second", "模板的 RouteRate（每秒登录）", RATE,
          lambda d: d.of("POST /login"), "parameter `RouteRate`", "参数 `RouteRate`"),
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
          "无需操作：所有执行环境共用一个 access_token"),
)  # fmt: skip


SEALS: Final = 2**32
"""Seals under one subkey for which random 96-bit nonces are safe (NIST SP 800-38D, 8.3)."""


def days_of_a_key(logins: int) -> float:
    """Return after how many days one key has sealed as much as it may, with one seal a login."""
    return SEALS / logins


def flood(route: str) -> list[float]:
    """Return what a month at a route's throttle costs: gateway, time, tables, logs and transfer."""
    each, p = LOAD.routes[route], PRICES
    calls = RATE * MONTH * 3600
    time = each.milliseconds / 1000 * LOAD.memory_gb * p.lambda_gb_second
    return [
        calls * p.api_request,
        calls * (p.lambda_request + time),
        calls * (each.writes * p.write_unit + each.reads * p.read_unit),
        calls * (_gb(LOAD.log_kb) * p.log_gb + _gb(LOAD.transfer_kb) * p.transfer_gb),
    ]


def flood_table(*, chinese: bool) -> str:
    """Return what a month costs in which each route gets as much as its throttle lets through."""
    heads = (
        ("路由", "每秒请求", "API Gateway", "Lambda", "DynamoDB", "日志与流量", "合计，美元/月")
        if chinese
        else ("route", "requests/s", "API Gateway", "Lambda", "DynamoDB", "logs, transfer",
              "together, USD a month")
    )  # fmt: skip
    rows = [f"| {' | '.join(heads)} |", "|---|--:|--:|--:|--:|--:|--:|"]
    rows += [
        f"| `{route}` | {RATE} | "
        + " | ".join(_number(usd) for usd in (*flood(route), sum(flood(route))))
        + " |"
        for route in LOAD.routes
    ]
    totals = [sum(column) for column in zip(*map(flood, LOAD.routes), strict=True)]
    together = " | ".join(_number(usd) for usd in (*totals, sum(totals)))
    return "\n".join(
        [
            *rows,
            f"| **{'合计' if chinese else 'together'}** | {RATE * len(LOAD.routes)} | {together} |",
        ]
    )


def seals_table(*, chinese: bool) -> str:
    """Return how long a key may seal before it should be rotated."""
    heads = ("每天登录", "一个密钥可用") if chinese else ("logins a day", "a key may seal for")
    unit = ("天", "年") if chinese else (" days", " years")
    rows = [f"| {' | '.join(heads)} |", "|--:|--:|"]
    for logins in GROWTH[2:]:
        days = days_of_a_key(logins)
        few = days < 2 * 365
        life = f"{days:,.0f}{unit[0]}" if few else f"{days / 365:,.0f}{unit[1]}"
        rows.append(f"| {logins:,} | {life} |")
    return "\n".join(rows)


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
    for each in map(demand, GROWTH):
        values = (each.requests, each.concurrency, each.writes, each.reads, each.usd, each.cny)
        rows.append(f"| {each.logins:,} | {' | '.join(map(_number, values))} |")
    return "\n".join(rows)


def limits_table(*, chinese: bool) -> str:
    """Return the limits, the first to be met first."""
    rows = [
        "| 上限 | 默认值 | 达到时的每天登录数 | 调高什么 |"
        if chinese
        else "| limit | by default | reached at logins a day | what to raise |",
        "|---|--:|--:|---|",
    ]
    for each in sorted(LIMITS, key=Limit.met_at):
        at = each.met_at()
        met = ("不会达到" if chinese else "never") if math.isinf(at) else f"{_round(at):,}"
        name = each.name_zh if chinese else each.name
        remedy = each.remedy_zh if chinese else each.remedy
        rows.append(f"| {name} | {each.allowed:,} | {met} | {remedy} |")
    return "\n".join(rows)


def _gb(kb: float) -> float:
    return kb / 1_000_000


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.005 or amount == 0 else "< 0.01"  # noqa: PLR2004


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"  # noqa: PLR2004


def _round(value: float) -> int:
    """Round to two figures: the guesses are not better than that."""
    return int(float(f"{value:.1e}"))
