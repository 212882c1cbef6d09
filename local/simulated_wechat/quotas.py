"""How often an app may call: per minute (45011) and per day (45009)."""

from dataclasses import dataclass
from typing import Final

from .clock import Clock
from .errors import WeChatError

_BEIJING: Final = 8 * 3600


def day_of(now: float) -> int:
    """Return the number of the day in Beijing, at whose midnight the daily quotas start again."""
    return int(now + _BEIJING) // 86400


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls that one app may make to one endpoint; None means any number.

    Attributes:
        per_minute: Calls in one minute of the clock; 45011 beyond.
        per_day: Calls in one Beijing day; 45009 beyond.
    """

    per_minute: int | None = None
    per_day: int | None = None


@dataclass(slots=True)
class _Window:
    number: int
    count: int = 0

    def one_more(self, number: int, limit: int | None, errcode: int) -> None:
        if number != self.number:
            self.number, self.count = number, 0
        if limit is not None and self.count >= limit:
            raise WeChatError(errcode)
        self.count += 1


class Quotas:
    """The limits by endpoint, and what each app has used of them.

    At first they are the published ones, of the token calls and of resetUserSessionKey.
    """

    def __init__(self, clock: Clock) -> None:
        self.limits: dict[str, Quota] = {
            "getStableAccessToken": Quota(per_minute=10_000, per_day=500_000),
            "getAccessToken": Quota(per_day=2_000),
            "resetUserSessionKey": Quota(per_minute=60_000),
        }
        self._clock = clock
        self._used: dict[tuple[str, str], tuple[_Window, _Window]] = {}

    def count(self, endpoint: str, appid: str) -> None:
        """Count one call.

        Raises:
            WeChatError: 45009 or 45011 if the quota is used up.
        """
        now = self._clock.now()
        limit = self.limits.get(endpoint, Quota())
        day, minute = self._used.setdefault((endpoint, appid), (_Window(0), _Window(0)))
        day.one_more(day_of(now), limit.per_day, 45009)
        minute.one_more(int(now) // 60, limit.per_minute, 45011)
