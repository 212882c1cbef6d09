"""What the access_token's protocol costs at any size, from its own constants.

The table of docs/access-token.md is made here (`make docs`); tests/races holds it to what a real
engine was asked.

Prices: DynamoDB on-demand, us-east-1, in USD (aws.amazon.com/dynamodb/pricing/on-demand). Limits
of one item: 3,000 read and 1,000 write units a second (DynamoDB developer guide, "Designing
partition keys to distribute your workload"). An item here is below 1 KB: an eventually consistent
read of it is half a unit, a write is one, also if its condition fails.
"""

import math
from dataclasses import dataclass

from wechat_auth.tokens.access_tokens import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LOOK_AGAIN,
    REQUEST_WINDOW,
    SPREAD,
)
from wechat_auth.tokens.table import RENEWAL_WINDOW

READ_PRICE, WRITE_PRICE = 0.125 / 1e6, 0.625 / 1e6
READ_UNITS, WRITE_UNITS = 3000, 1000
SIZES = (10, 1_000, 10_000)
LIFE = 7200
TICK = 60
DAY = 86_400
DAYS_A_MONTH = 30
CALL = 0.3
"""Seconds that WeChat takes for a token on an ordinary day."""
SDK_BACKOFF = 1.0
"""Seconds at most before the SDK sends a throttled request once more."""

# The schedule comes once a minute and renews at its first tick inside the window. WeChat's clock
# may open its window a moment later than ours, which costs one more tick.
CALLS_A_DAY = 1 + DAY // (LIFE - int(RENEWAL_WINDOW) + TICK)
SCHEDULE_READS_A_DAY = DAY // TICK
WRITES_A_RENEWAL = 2  # the lease, the token


@dataclass(frozen=True, slots=True)
class Steady:
    """A day of traffic that keeps so many environments warm all day."""

    environments: int

    @property
    def reads(self) -> int:
        """The schedule's, and one by each environment for each token."""
        return SCHEDULE_READS_A_DAY + self.environments * CALLS_A_DAY

    @property
    def writes(self) -> int:
        """The lease and the token of each renewal."""
        return CALLS_A_DAY * WRITES_A_RENEWAL

    @property
    def busiest_second(self) -> float:
        """Read units of the second in which most look: they spread over part of the window."""
        return self.environments / (REQUEST_WINDOW * SPREAD) / 2

    @property
    def month(self) -> float:
        """USD."""
        return (self.reads / 2 * READ_PRICE + self.writes * WRITE_PRICE) * DAYS_A_MONTH


@dataclass(frozen=True, slots=True)
class Outage:
    """WeChat gives no token while the last one lives out its last minutes."""

    environments: int

    @property
    def read_units_a_second(self) -> float:
        """Each environment looks again after half to all of LOOK_AGAIN."""
        return self.environments / (LOOK_AGAIN * 0.75) / 2


@dataclass(frozen=True, slots=True)
class Crush:
    """All environments need a token in the same moment, and there is none: the worst case."""

    environments: int
    call: float = CALL

    @property
    def reads(self) -> int:
        """Each looks at once, then with the shortest pauses there are until the token is there."""
        looks, passed, pause = 1, 0.0, FIRST_PAUSE
        while passed < self.call:
            looks, passed = looks + 1, passed + pause / 2
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return self.environments * looks

    @property
    def lost_writes(self) -> int:
        """Whoever was shown that nobody has the lease tries for it, and one gets it."""
        return min(self.environments, 2 * READ_UNITS) - 1

    @property
    def seconds(self) -> float:
        """Until everybody has it: the call, the last pause, and the item's limits.

        If the losers use up the item's writes, what waits its turn is the holder's write: for as
        long as the SDK takes to send the losers' once more, and a pause.
        """
        throttled = self.lost_writes + WRITES_A_RENEWAL > WRITE_UNITS
        held_up = SDK_BACKOFF + LONGEST_PAUSE if throttled else 0.0
        served = self.environments / (2 * READ_UNITS)
        if served > 1:
            served += SDK_BACKOFF
        return self.call + held_up + LONGEST_PAUSE + served

    @property
    def cost(self) -> float:
        """USD."""
        writes = self.lost_writes + WRITES_A_RENEWAL
        return self.reads / 2 * READ_PRICE + writes * WRITE_PRICE


def table(*, chinese: bool) -> str:
    """Return the table as the documentation shows it."""
    steady = [Steady(size) for size in SIZES]
    outage = [Outage(size) for size in SIZES]
    crush = [Crush(size) for size in SIZES]
    money = "{:.4f}".format
    rows = [
        ("environments at work", "运行中的执行环境", [f"{size:,}" for size in SIZES]),
        ("**a day of traffic**", "**平常一天**", ["", "", ""]),
        ("token calls at WeChat", "向微信取 token 次数", [str(CALLS_A_DAY)] * 3),
        ("DynamoDB reads", "DynamoDB 读取次数", [f"{each.reads:,}" for each in steady]),
        ("DynamoDB writes", "DynamoDB 写入次数", [f"{each.writes:,}" for each in steady]),
        (
            f"read units in the busiest second (limit {READ_UNITS:,})",
            f"最忙一秒的读取单位（上限 {READ_UNITS:,}）",
            [str(math.ceil(each.busiest_second)) for each in steady],
        ),
        ("USD a month", "每月费用（美元）", [money(each.month) for each in steady]),
        (
            "**WeChat gives none, the last is still valid**",
            "**微信不可用，旧 token 仍有效**",
            ["", "", ""],
        ),
        ("token calls a second, at most", "每秒向微信取 token 次数上限", ["1"] * 3),
        (
            "read units a second",
            "每秒读取单位",
            [str(math.ceil(each.read_units_a_second)) for each in outage],
        ),
        ("**all at once, and there is none**", "**同时需要，而没有可用的**", ["", "", ""]),
        ("token calls at WeChat", "向微信取 token 次数", ["1"] * 3),
        ("reads, at most", "读取次数上限", [f"{each.reads:,}" for each in crush]),
        (
            "writes that lose, at most",
            "条件不成立的写入上限",
            [f"{e.lost_writes:,}" for e in crush],
        ),
        (
            "seconds until all have it, at most",
            "全部拿到所需秒数上限",
            [f"{each.seconds:.1f}" for each in crush],
        ),
        ("USD, once", "每次费用（美元）", [money(each.cost) for each in crush]),
    ]
    lines = [
        f"| {name_zh if chinese else name} | {' | '.join(cells)} |" for name, name_zh, cells in rows
    ]
    return "\n".join([lines[0], "|---|--:|--:|--:|", *lines[1:]])
