"""The item by which all execution environments share an app's access_token, and its lease.

``appid`` (key) · ``sealed``, ``token_expires_at``, ``life`` (the token) · ``renew_from`` (WeChat
handed out the same one) · ``version`` (renewals begun) · ``lease_owner``, ``lease_until`` ·
``failed_version``, ``failed_errcode`` (the last failure) · ``forced_day``, ``forced_count``,
``forced_at`` · ``expires_at`` (TTL: two days after the token's death, since the forced refreshes of
a day must outlive the tokens of that day).

Whoever renews holds the lease. It is taken only if no renewal has begun since the item was read,
and everything else is written only while it is held, so that a worker that was frozen past its
lease changes nothing.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from wechat_auth import invocation
from wechat_auth.aws import AwsError, is_throttled
from wechat_auth.secret_store import SecretStore
from wechat_auth.wechat import CALL_TIMEOUT
from wechat_crypto import UnsealError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

RENEWAL_WINDOW = 300.0
"""Seconds before its death in which WeChat hands out a token's successor and both work."""
LEASE = 2 * CALL_TIMEOUT + 5
"""Seconds a renewal may take: longer than its two calls, so that a living holder keeps it."""
PAUSE_AFTER_SAME = 15.0
"""Seconds in which WeChat would only hand out once more what it has just handed out."""
PAUSE_AFTER_FAILURE = 1.0
"""Seconds before the next worker may try after a renewal failed."""
MAX_WAIT = 8.0
"""Seconds a worker waits for the item, time permitting."""
LONGEST_PAUSE = 0.6
"""Seconds between two tries of a worker that waits, at most."""
# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()
_KEEP_ITEM = 2 * 86_400
_PURPOSE = "access_token"


@dataclass(frozen=True, slots=True)
class Item:
    """The app's item as it was read; ``token`` is empty where there is none that can be used."""

    token: str = field(default="", repr=False)
    token_expires_at: float = 0
    life: float = 0
    renew_from: float = 0
    version: int = 0
    lease_until: float = 0
    failed_version: int = 0
    failed_errcode: int = 0
    forced_day: str = ""
    forced_count: int = 0
    forced_at: float = 0

    @property
    def asked_at(self) -> float:
        """When WeChat was asked for the token."""
        return round(self.token_expires_at - self.life, 3)  # as it was written

    @property
    def forced_in_vain(self) -> bool:
        """Whether who forced the last refresh died, or lost the lease, before it was written."""
        return self.asked_at < self.forced_at and self.failed_version < self.version

    def usable(self, now: float, rejected: str | None = None) -> bool:
        """Tell whether there is a token that lives and is not the rejected one."""
        return bool(self.token) and now < self.token_expires_at and self.token != rejected

    def is_due(self, now: float, window: float) -> bool:
        """Tell whether a token that still lives should be renewed."""
        return now >= max(self.renew_at(window), self.renew_from)

    def renew_at(self, window: float) -> float:
        """Return when to renew: that many seconds before its death, or in the half of its life.

        In proportion, where WeChat gave it a short life: a token may be issued with 300 s.
        """
        return self.token_expires_at - min(window, self.life / 2 * window / RENEWAL_WINDOW)


class SharedItem:
    """The AccessTokens table, one item an app.

    Args:
        dynamodb: Gives the client when it is first needed.
        table: The table.
        secrets: For the key ring.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        dynamodb: "Callable[[], DynamoDBClient]",
        table: str,
        secrets: SecretStore,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """See the class."""
        self._dynamodb = dynamodb
        self._table = table
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep

    def read(self, appid: str, *, consistent: bool = False) -> Item:
        """Read the app's item; one that is absent has no token and version 0.

        Args:
            appid: The app.
            consistent: Whether what was written a moment ago must be seen.
        """
        # Eventually consistent, at half the price: what it decides is guarded by `version`.
        answer = self._dynamodb().get_item(
            TableName=self._table, Key={"appid": {"S": appid}}, ConsistentRead=consistent
        )
        stored: dict[str, Any] = dict(answer.get("Item") or {})

        def number(name: str) -> float:
            return float(stored[name]["N"]) if name in stored else 0

        token = ""
        if "sealed" in stored:
            try:
                token = self._secrets.unseal(
                    stored["sealed"]["B"], purpose=_PURPOSE, context=self._context(appid)
                ).decode()
            except UnsealError:
                token = ""  # sealed under a key that is gone: as good as absent
        return Item(
            token=token,
            token_expires_at=number("token_expires_at"),
            life=number("life"),
            renew_from=number("renew_from"),
            version=int(number("version")),
            lease_until=number("lease_until"),
            failed_version=int(number("failed_version")),
            failed_errcode=int(number("failed_errcode")),
            forced_day=stored["forced_day"]["S"] if "forced_day" in stored else "",
            forced_count=int(number("forced_count")),
            forced_at=number("forced_at"),
        )

    def take_lease(self, appid: str, item: Item) -> str | None:
        """Take the lease unless a renewal has begun since the item was read.

        The SDK may send this twice: where the first answer got lost the lease is ours already.
        """
        now = self._clock()
        owner = uuid.uuid4().hex
        unchanged = "attribute_not_exists(version)" if item.version == 0 else "version = :version"
        values: dict[str, Any] = {
            ":owner": {"S": owner},
            ":until": {"N": f"{now + LEASE:.3f}"},
            ":next": {"N": str(item.version + 1)},
            ":now": {"N": f"{now:.3f}"},
            ":ttl": {"N": str(int(max(now, item.token_expires_at)) + _KEEP_ITEM)},
        }
        if item.version:
            values[":version"] = {"N": str(item.version)}
        try:
            self._dynamodb().update_item(
                TableName=self._table,
                Key={"appid": {"S": appid}},
                UpdateExpression="SET lease_owner = :owner, lease_until = :until, "
                "version = :next, expires_at = :ttl",
                ConditionExpression=f"({unchanged} AND (attribute_not_exists(lease_until) "
                "OR lease_until <= :now)) OR lease_owner = :owner",
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise
        return owner

    def write(self, appid: str, owner: str, renewed: Item, *, same: bool) -> bool:
        """Write the token and give the lease back; ``False`` if the lease is no longer ours."""
        dies = renewed.token_expires_at
        # WeChat hands out the same one where its clock is behind ours: its window is not open yet.
        renew_from = self._clock() + PAUSE_AFTER_SAME if same else 0
        sealed = self._secrets.key_ring().seal(
            renewed.token.encode(), purpose=_PURPOSE, context=self._context(appid)
        )
        return self._update_as_owner(
            appid,
            owner,
            "SET sealed = :sealed, token_expires_at = :dies, life = :life, expires_at = :ttl, "
            "renew_from = :from, lease_until = :free, version = version + :one REMOVE lease_owner",
            {
                ":sealed": {"B": sealed},
                ":dies": {"N": f"{dies:.3f}"},
                ":life": {"N": str(int(renewed.life))},
                ":ttl": {"N": str(int(dies) + _KEEP_ITEM)},
                ":from": {"N": f"{renew_from:.3f}"},
                ":free": {"N": "0"},
                ":one": {"N": "1"},  # who read the item before must read it again
            },
        )

    def give_up_lease(self, appid: str, owner: str, errcode: int) -> bool:
        """Turn the lease into a short pause, and leave word of what went wrong.

        Returns:
            ``False`` if the lease is no longer ours.
        """
        try:
            return self._update_as_owner(
                appid,
                owner,
                "SET lease_until = :until, failed_version = version, failed_errcode = :errcode "
                "REMOVE lease_owner",
                {
                    ":until": {"N": f"{self._clock() + PAUSE_AFTER_FAILURE:.3f}"},
                    ":errcode": {"N": str(errcode)},
                },
            )
        except AwsError:
            return True  # it runs out by itself

    def count_forced(self, appid: str, owner: str, *, day: str, count: int, at: float) -> bool:
        """Count a forced refresh before it is made; ``False`` if the lease is no longer ours."""
        return self._update_as_owner(
            appid,
            owner,
            "SET forced_day = :day, forced_count = :count, forced_at = :now",
            {":day": {"S": day}, ":count": {"N": str(count)}, ":now": {"N": f"{at:.3f}"}},
        )

    def pause(self, seconds: float) -> None:
        """Sleep that long at most, and not in step with others."""
        self._sleep(seconds * _random.uniform(0.5, 1))

    def time_left(self, began: float) -> float:
        """Return how many seconds a worker that began to wait then may still wait."""
        return invocation.remaining(MAX_WAIT - (self._clock() - began))

    def _update_as_owner(self, appid: str, owner: str, update: str, values: dict[str, Any]) -> bool:
        """Update the item if the lease is still ours, and tell whether it was.

        Where a crowd that has just tried for the lease has used up the item's writes, try on: it
        now reads that the lease is taken, and waits for what we write.
        """
        began = self._clock()
        while True:
            try:
                self._dynamodb().update_item(
                    TableName=self._table,
                    Key={"appid": {"S": appid}},
                    UpdateExpression=update,
                    ConditionExpression="lease_owner = :owner",
                    ExpressionAttributeValues={":owner": {"S": owner}, **values},
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return False
                if not is_throttled(error) or self.time_left(began) <= 0:
                    raise
            else:
                return True
            self.pause(LONGEST_PAUSE)

    def _context(self, appid: str) -> str:
        return f"{self._table}|{appid}"
