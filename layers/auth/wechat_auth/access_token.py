"""One access_token for every execution environment: memory, then DynamoDB, then WeChat.

An app has one living access_token. It stands sealed in a DynamoDB item that all environments
share, and whoever renews it holds a lease on that item, taken and given back by conditional
writes. The rules:

* Fresh: use it. In its last 300 s (or half its life, if that is shorter) the schedule renews it,
  and in the last 180 s whichever worker needs it first; the others wait for nobody.
* Dead or absent: one worker renews it; the others look again until it is there, the renewal has
  failed, or their time is up. Whoever has a living token in memory never waits.
* A result is written only if the lease is still its writer's. A worker that was frozen past its
  lease and wakes up cannot overwrite a newer token; it uses that one.
* Rejected by WeChat: only if the stored token still is the rejected one it is renewed, and forced
  if WeChat hands out the same one again; 30 s apart and 20 times a day at most. In classic mode
  each call replaces the token, so a renewal after a rejection counts as forced.

Item: ``appid`` (key) · ``sealed``, ``token_expires_at``, ``life`` (the token) · ``renew_from``
(WeChat handed out the same one) · ``version`` (renewals begun and done) · ``lease_owner``,
``lease_until`` · ``failed_version``, ``failed_errcode`` (the last failure) · ``forced_day``,
``forced_count``, ``forced_at`` · ``expires_at`` (TTL: two days after the token's death, since the
forced refreshes of a day must outlive the tokens of that day).

Source for the rules of the tokens: getStableAccessToken and getAccessToken, WeChat mini-program
server API.
"""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from wechat_auth import invocation
from wechat_auth.aws import AwsError, explain, is_throttled
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError, WeChatError
from wechat_auth.secret_store import SecretStore
from wechat_auth.settings import TokenMode
from wechat_auth.wechat import CALL_TIMEOUT, AccessToken, WeChat
from wechat_crypto import UnsealError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()

RENEWAL_WINDOW = 300.0
"""Seconds before its death in which WeChat hands out a token's successor and both work."""
REQUEST_WINDOW = 180.0
"""The last part of it, in which requests renew too; the first part is left to the schedule."""
LEASE = 2 * CALL_TIMEOUT + 5
"""Seconds a renewal may take: longer than its two calls, so that a living holder keeps it."""
PAUSE_AFTER_SAME = 15.0
"""Seconds in which WeChat would only hand out once more what it has just handed out."""
PAUSE_AFTER_FAILURE = 1.0
"""Seconds before the next worker may try after a renewal failed."""
LOOK_AGAIN = 10.0
"""Seconds between two looks at the table by a worker that holds a token inside its window."""
MAX_WAIT = 8.0
"""Seconds a worker without a token waits for somebody else's renewal, time permitting."""
FORCED_APART = 30
"""Seconds between two forced refreshes; WeChat ignores the second one within them."""
FORCED_PER_DAY = 20
"""Forced refreshes a day that WeChat allows."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.4, 0.6  # seconds between two looks of a worker that waits
_SPREAD = 1 / 3  # part of the requests' window over which the workers' looks are spread
_KEEP_ITEM = 2 * 86_400
_PURPOSE = "access_token"


@dataclass(frozen=True, slots=True)
class _Item:
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


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token in this environment's memory, and until when it is used without another look."""

    token: str = field(repr=False)
    expires_at: float
    look_at: float


class AccessTokens:
    """The access_token of each app.

    Args:
        dynamodb: Gives the client when it is first needed.
        table: The AccessTokens table.
        secrets: For the AppSecret and the key ring.
        wechat: Where new tokens come from.
        mode: Which of WeChat's two kinds of token.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        dynamodb: "Callable[[], DynamoDBClient]",
        table: str,
        secrets: SecretStore,
        wechat: WeChat,
        *,
        mode: TokenMode = "stable",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """See the class."""
        self._dynamodb = dynamodb
        self._table = table
        self._secrets = secrets
        self._wechat = wechat
        self._mode = mode
        self._clock = clock
        self._sleep = sleep
        self._memory: dict[str, _Remembered] = {}

    def get(self, appid: str, *, rejected: str | None = None) -> str:
        """Return an access_token that WeChat should accept.

        Args:
            appid: The app.
            rejected: A token that WeChat has just refused (40001, 40014, 42001); what is returned
                is another one.

        Raises:
            AuthError: ``wechat_unavailable`` or ``storage_unavailable`` if none can be had in
                time; ``misconfigured`` if WeChat refuses to give one, or for good.
        """
        known = self._known(appid, rejected)
        if known and self._clock() >= known.look_at:
            # Whatever comes of this look, the token in memory serves until the next one.
            self._memory[appid] = replace(known, look_at=self._clock() + _soon())
            try:
                self._look(appid, rejected)
            except (AuthError, *AwsError) as error:
                invocation.log_fault(_fault(error))
            known = self._known(appid, rejected)
        return known.token if known else self._wait_for(appid, rejected)

    def renew(self, appid: str) -> bool:
        """Renew the token if it is inside its window, dead or absent; for the schedule.

        Returns:
            Whether this call renewed it.

        Raises:
            AuthError: As :meth:`get`.
            ClientError: DynamoDB refused.
            BotoCoreError: DynamoDB could not be reached.
        """
        item = self._read(appid)
        now = self._clock()
        if item.usable(now) and not item.is_due(now, RENEWAL_WINDOW):
            return False
        return self._renew(appid, item, None) not in {"", item.token}

    def _known(self, appid: str, rejected: str | None) -> _Remembered | None:
        """Return what is in memory, unless it is dead or rejected: then forget it."""
        known = self._memory.get(appid)
        if known and (known.token == rejected or self._clock() >= known.expires_at):
            del self._memory[appid]
            return None
        return known

    def _wait_for(self, appid: str, rejected: str | None) -> str:
        """Find the token that all environments share, or make it; look again until it is there."""
        began = self._clock()
        failed_before: int | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                token, item = self._look(appid, rejected)
            except AwsError as error:
                if not is_throttled(error) or self._time_left(began) <= 0:
                    raise explain(error) from None
            else:
                if token:
                    return token
                if failed_before is None:
                    failed_before = item.failed_version
                    invocation.count("AccessTokenWaits")
                elif item.failed_version > failed_before:
                    raise self._failure(item.failed_errcode)  # somebody tried while we waited
            left = self._time_left(began)
            if left <= 0:
                raise AuthError(WECHAT_UNAVAILABLE, "No access_token came in time: try again.")
            self._pause(min(left, pause))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _look(self, appid: str, rejected: str | None) -> tuple[str, _Item]:
        """Look once: use what is there, renew it if nobody else does; no token means wait."""
        item = self._read(appid)
        now = self._clock()
        if not item.usable(now, rejected) or item.is_due(now, REQUEST_WINDOW):
            try:
                if token := self._renew(appid, item, rejected):
                    return token, item
            except (AuthError, *AwsError) as error:
                if not item.usable(self._clock(), rejected):
                    raise
                invocation.log_fault(_fault(error))
        usable = item.usable(self._clock(), rejected)
        return (self._remember(appid, item) if usable else ""), item

    def _pause(self, seconds: float) -> None:
        """Sleep that long at most, and not in step with others."""
        self._sleep(seconds * _random.uniform(0.5, 1))

    def _time_left(self, began: float) -> float:
        """Return how many seconds a worker that began to look then may still wait."""
        return invocation.remaining(MAX_WAIT - (self._clock() - began))

    def _renew(self, appid: str, item: _Item, rejected: str | None) -> str:
        """Get a token from WeChat under the lease and write it; empty if somebody else is at it.

        A request never does this twice: to lose the lease takes longer than it may wait.
        """
        if self._clock() < item.lease_until:
            return ""
        self._secrets.key_ring()  # without which nothing could be written
        owner = self._take_lease(appid, item)
        if owner is None:
            return ""
        try:
            issued, asked_at = self._issue_another(appid, item, owner, rejected)
        except (AuthError, *AwsError) as error:
            invocation.count("AccessTokenRenewalFailures")
            fault = _fault(error)
            if self._give_up_lease(appid, owner, fault):
                raise fault from None
            return self._theirs(appid, rejected)
        invocation.count("AccessTokenRenewals")
        renewed = _Item(
            token=issued.token,
            token_expires_at=asked_at + issued.expires_in,
            life=issued.expires_in,
        )
        try:
            shared = self._write(appid, owner, renewed, same=issued.token == item.token)
        except AwsError:
            return self._remember(appid, renewed, shared=False)
        if shared and renewed.usable(self._clock()):
            return self._remember(appid, renewed)
        return self._theirs(appid, rejected)

    def _theirs(self, appid: str, rejected: str | None) -> str:
        """Use what others renewed while we were away past our lease; empty if it is not there."""
        item = self._read(appid, consistent=True)
        return self._remember(appid, item) if item.usable(self._clock(), rejected) else ""

    def _issue_another(
        self, appid: str, item: _Item, owner: str, rejected: str | None
    ) -> tuple[AccessToken, float]:
        """Get a token other than the rejected one, by force only where that must be."""
        just_asked = self._clock() < item.asked_at + PAUSE_AFTER_SAME
        if item.token != rejected or (self._mode == "stable" and not just_asked):
            issued, asked_at = self._issue(appid, force=False)
            if issued.token != rejected:
                return issued, asked_at
        return self._force(appid, item, owner, rejected)

    def _issue(self, appid: str, *, force: bool) -> tuple[AccessToken, float]:
        """Ask WeChat; a token's life counts from before the call."""
        secret = self._secrets.app_secret(appid)
        asked_at = self._clock()
        try:
            if self._mode == "classic":
                return self._wechat.classic_access_token(appid, secret), asked_at
            return self._wechat.stable_access_token(appid, secret, force=force), asked_at
        except WeChatError as error:
            if error.errcode in {40001, 40125}:
                self._secrets.app_secret_refused()
            raise

    def _force(
        self, appid: str, item: _Item, owner: str, rejected: str | None
    ) -> tuple[AccessToken, float]:
        """Replace a token that WeChat refuses but still hands out, within WeChat's limits."""
        now = self._clock()
        today = time.strftime("%Y-%m-%d", time.gmtime(now + 8 * 3600))  # WeChat's day: UTC+8
        today = max(today, item.forced_day)  # another worker's clock may be past midnight already
        used = item.forced_count if item.forced_day == today else 0
        if used >= FORCED_PER_DAY:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token and the forced refreshes of today are "
                "used up: find who else refreshes this appid's token",
            )
        if now < item.forced_at + FORCED_APART and not item.forced_in_vain:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token just after a forced refresh",
                retry_after=int(item.forced_at + FORCED_APART - now) + 1,
            )
        if not self._update_as_owner(
            appid,
            owner,
            "SET forced_day = :day, forced_count = :count, forced_at = :now",
            {
                ":day": {"S": today},
                ":count": {"N": str(used + 1)},
                ":now": {"N": f"{now:.3f}"},
            },
        ):
            raise AuthError(WECHAT_UNAVAILABLE)  # frozen past our lease: somebody else is at it
        invocation.count("AccessTokenForced")
        issued, asked_at = self._issue(appid, force=True)
        if issued.token == rejected:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token and hands it out again even when forced",
            )
        return issued, asked_at

    def _remember(self, appid: str, item: _Item, *, shared: bool = True) -> str:
        """Keep a token; look again when it should be renewed, each worker at its own moment."""
        look_at = self._clock() + _soon()
        if shared:
            renew_at = item.renew_at(REQUEST_WINDOW)
            spread = (item.token_expires_at - renew_at) * _SPREAD
            look_at = max(look_at, renew_at + _random.uniform(0, spread))
        self._memory[appid] = _Remembered(item.token, item.token_expires_at, look_at)
        return item.token

    def _read(self, appid: str, *, consistent: bool = False) -> _Item:
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
        return _Item(
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

    def _take_lease(self, appid: str, item: _Item) -> str | None:
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

    def _write(self, appid: str, owner: str, renewed: _Item, *, same: bool) -> bool:
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

    def _give_up_lease(self, appid: str, owner: str, failure: AuthError) -> bool:
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
                    ":errcode": {"N": str(failure.errcode or 0)},
                },
            )
        except AwsError:
            return True  # it runs out by itself

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
                if not is_throttled(error) or self._time_left(began) <= 0:
                    raise
            else:
                return True
            self._pause(_LONGEST_PAUSE)

    def _failure(self, errcode: int) -> AuthError:
        """Say of a renewal that somebody else tried what it ended in."""
        if errcode:
            call = "getAccessToken" if self._mode == "classic" else "getStableAccessToken"
            return WeChatError(call, errcode)
        return AuthError(WECHAT_UNAVAILABLE)

    def _context(self, appid: str) -> str:
        return f"{self._table}|{appid}"


def _fault(error: Exception) -> AuthError:
    return error if isinstance(error, AuthError) else explain(error)


def _soon() -> float:
    """Return the seconds until another look at the table; never the same for a whole crowd."""
    return LOOK_AGAIN * _random.uniform(0.5, 1)
