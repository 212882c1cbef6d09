"""The failed decryptions that a user may have in a day, so that nobody can guess for ever.

One item in the user's partition of the Sessions table counts the day's failures. It sorts after
the sessions, so that reading the newest of these brings it along.
"""

import time
from collections.abc import Callable

from wechat_auth.errors import TOO_MANY_FAILURES, AuthError
from wechat_auth.storage import Item, Table

SORT_KEY = "~failures"
"""The counter's sort key; no session's is greater."""
_DAY = 86_400


def failures_today(counter: Item, now: float) -> int:
    """Return how many failures a counter's item says that today had."""
    return int(counter["failures"]) if int(counter["day"]) >= int(now) // _DAY else 0


class FailureBudget:
    """The budget of every user.

    Args:
        table: The Sessions table.
        limit: Failures allowed a day (UTC).
        clock: Gives the time in seconds.
    """

    def __init__(self, table: Table, *, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._limit = limit
        self._clock = clock

    def check(self, failures: int) -> None:
        """Refuse a user who has had so many failures today that the budget is used up.

        Raises:
            AuthError: ``too_many_failures``, with the rest of the day as Retry-After.
        """
        if failures >= self._limit:
            raise self._used_up()

    def count(self, user: bytes) -> None:
        """Count a failure of a user, known by the partition of the Sessions table.

        Raises:
            AuthError: ``too_many_failures`` if the budget was used up before; nobody may then
                learn that this attempt failed too.
        """
        # The counter is today's: the first try adds. It is yesterday's or absent: the second
        # begins the day. Another request began the day in between: the third adds to it.
        if not (self._add(user) or self._begin_the_day(user) or self._add(user)):
            raise self._used_up()

    def _add(self, user: bytes) -> bool:
        return self._table.update_if(
            "#day >= :today AND failures < :limit",
            {"user": user, "session": SORT_KEY},
            "ADD failures :one",
            {"one": 1, "today": self._today(), "limit": self._limit},
        )

    def _begin_the_day(self, user: bytes) -> bool:
        today = self._today()
        return self._table.update_if(
            "attribute_not_exists(#day) OR #day < :today",
            {"user": user, "session": SORT_KEY},
            "SET failures = :one, #day = :today, expires_at = :ttl",
            {"one": 1, "today": today, "ttl": (today + 2) * _DAY},
        )

    def _today(self) -> int:
        return int(self._clock()) // _DAY

    def _used_up(self) -> AuthError:
        return AuthError(TOO_MANY_FAILURES, retry_after=_DAY - int(self._clock()) % _DAY)
