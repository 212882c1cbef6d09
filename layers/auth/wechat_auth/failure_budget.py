"""What a user may cost in a day: failed decryptions, and questions to WeChat.

Whoever may fail without limit can forge, and whoever may ask without limit uses up the app's
quota. So a failure is counted before anything is asked, and given back if there was none: whatever
becomes of the question, nobody learns anything for nothing.

One item in the user's partition of the Sessions table counts. It sorts after the sessions, so that
reading the newest of these brings it along. While the keys rotate a user has several partitions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wechat_auth import invocation
from wechat_auth.errors import TOO_MANY_FAILURES, TOO_MANY_REQUESTS, AuthError
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Item, StorageError, Table

SORT_KEY = "~failures"
"""The counter's sort key; no session's is greater."""
QUESTIONS_PER_FAILURE = 4
"""Questions to WeChat that a user may cause in a day, for each failure allowed."""
_DAY = 86_400
_VOUCHED = "vouched"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a user has had of today's budget.

    Attributes:
        user: The partition in which more is counted.
        begun: Whether today's count there has begun.
        failures: Failed decryptions.
        elsewhere: Those of them that are counted in other partitions.
        questions: Questions to WeChat.
        vouched: Keyed hashes of the ciphertexts that WeChat vouched for last.
    """

    user: bytes = field(repr=False)
    begun: bool = False
    failures: int = 0
    elsewhere: int = 0
    questions: int = 0
    vouched: frozenset[bytes] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, user: bytes, counters: Sequence[Item], now: float) -> "Spent":
        """Read the counters of all of a user's partitions; more is counted in ``user``."""
        todays = [counter for counter in counters if counter["day"] >= int(now) // _DAY]
        failures = {counter["user"]: int(counter["failures"]) for counter in todays}
        total = sum(failures.values())
        return cls(
            user,
            begun=user in failures,
            failures=total,
            elsewhere=total - failures.get(user, 0),
            questions=sum(int(counter.get("questions", 0)) for counter in todays),
            vouched=frozenset(each["vouched"] for each in counters if "vouched" in each),
        )


class FailureBudget:
    """The budget of every user.

    Args:
        table: The Sessions table.
        secrets: For the key ring.
        limit: Failures allowed a day (UTC).
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        table: Table,
        secrets: SecretStore,
        *,
        limit: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._secrets = secrets
        self._limit = limit
        self._questions = QUESTIONS_PER_FAILURE * limit
        self._clock = clock

    def check(self, spent: Spent) -> None:
        """Refuse a user who has used up today's failures.

        Raises:
            AuthError: ``too_many_failures``, with the rest of the day as Retry-After.
        """
        if spent.failures >= self._limit:
            raise self._used_up()

    def count(self, spent: Spent) -> None:
        """Count a failure, which is also a question, before anybody is asked.

        Raises:
            AuthError: ``too_many_failures`` if the budget was used up meanwhile: nobody may then
                learn that this attempt failed too. ``too_many_requests`` if so many questions
                have been asked.
        """
        if spent.questions >= self._questions:
            raise self._asked_too_often()
        left = self._limit - spent.elsewhere
        if not self._count(spent.user, failures=1, limit=left, begun=spent.begun):
            raise self._used_up()

    def is_vouched_for(self, spent: Spent, encrypted_data: str) -> bool:
        """Tell whether WeChat has said already that it made this ciphertext for this user."""
        return not spent.vouched.isdisjoint(
            self._secrets.key_ring().fingerprints(encrypted_data, purpose=_VOUCHED)
        )

    def give_back(self, spent: Spent, encrypted_data: str = "") -> None:
        """Take back a failure that was none; if that cannot be written, it stays counted.

        Args:
            spent: What it was counted with.
            encrypted_data: The ciphertext that WeChat has vouched for, to be remembered.
        """
        values: Item = {"less": -1, "today": self._today(), "zero": 0}
        remember = ""
        if encrypted_data:
            remember = " SET vouched = :vouched"
            ring = self._secrets.key_ring()
            values["vouched"] = ring.fingerprint(encrypted_data, purpose=_VOUCHED)
        try:
            self._table.update_if(
                "#day = :today AND failures > :zero",
                {"user": spent.user, "session": SORT_KEY},
                f"ADD failures :less{remember}",
                values,
            )
        except StorageError as error:
            invocation.log_fault(error)

    def count_question(self, user: bytes) -> None:
        """Count a question that cannot fail, before it is asked.

        Raises:
            AuthError: ``too_many_requests``, with the rest of the day as Retry-After.
        """
        # There are never more failures than the limit, so that they stop no question.
        if not self._count(user, failures=0, limit=self._limit + 1, begun=True):
            raise self._asked_too_often()

    def _count(self, user: bytes, *, failures: int, limit: int, begun: bool) -> bool:
        """Count, unless that would be more than the day's.

        If the counter is today's, the first try adds. If it is yesterday's or absent, the second
        begins the day. If another request began it in between, the third adds to it.
        """
        return (
            (begun and self._add(user, failures, limit))
            or (failures <= limit and self._begin_the_day(user, failures))
            or self._add(user, failures, limit)
        )

    def _add(self, user: bytes, failures: int, limit: int) -> bool:
        return self._table.update_if(
            "#day >= :today AND failures < :limit "
            "AND (attribute_not_exists(questions) OR questions < :questions)",
            {"user": user, "session": SORT_KEY},
            "ADD failures :failures, questions :one",
            {
                "failures": failures,
                "limit": limit,
                "one": 1,
                "questions": self._questions,
                "today": self._today(),
            },
        )

    def _begin_the_day(self, user: bytes, failures: int) -> bool:
        today = self._today()
        return self._table.update_if(
            "attribute_not_exists(#day) OR #day < :today",
            {"user": user, "session": SORT_KEY},
            "SET failures = :failures, questions = :one, #day = :today, expires_at = :ttl",
            {"failures": failures, "one": 1, "today": today, "ttl": (today + 2) * _DAY},
        )

    def _today(self) -> int:
        return int(self._clock()) // _DAY

    def _used_up(self) -> AuthError:
        return AuthError(TOO_MANY_FAILURES, retry_after=self._rest_of_the_day())

    def _asked_too_often(self) -> AuthError:
        return AuthError(
            TOO_MANY_REQUESTS,
            "WeChat has been asked about this user too often today. Wait for Retry-After seconds.",
            retry_after=self._rest_of_the_day(),
        )

    def _rest_of_the_day(self) -> int:
        return _DAY - int(self._clock()) % _DAY
