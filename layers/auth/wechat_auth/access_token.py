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

Source for the rules of the tokens: getStableAccessToken and getAccessToken, WeChat mini-program
server API.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.access_token_item import (
    LONGEST_PAUSE,
    PAUSE_AFTER_SAME,
    RENEWAL_WINDOW,
    Item,
    SharedItem,
)
from wechat_auth.aws import AwsError, explain, is_throttled
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError, WeChatError
from wechat_auth.secret_store import SecretStore
from wechat_auth.settings import TokenMode
from wechat_auth.wechat import AccessToken, WeChat

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

REQUEST_WINDOW = 180.0
"""The last part of the renewal window, in which requests renew too; the rest is the schedule's."""
LOOK_AGAIN = 10.0
"""Seconds between two looks at the table by a worker that holds a token inside its window."""
FORCED_APART = 30
"""Seconds between two forced refreshes; WeChat ignores the second one within them."""
FORCED_PER_DAY = 20
"""Forced refreshes a day that WeChat allows."""
# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()
_FIRST_PAUSE = 0.4  # seconds before the second look of a worker that waits
_SPREAD = 1 / 3  # part of the requests' window over which the workers' looks are spread


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
        self._item = SharedItem(dynamodb, table, secrets, clock=clock, sleep=sleep)
        self._secrets = secrets
        self._wechat = wechat
        self._mode = mode
        self._clock = clock
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
                invocation.log_fault(explain(error))
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
        item = self._item.read(appid)
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
                if not is_throttled(error) or self._item.time_left(began) <= 0:
                    raise explain(error) from None
            else:
                if token:
                    return token
                if failed_before is None:
                    failed_before = item.failed_version
                    invocation.count("AccessTokenWaits")
                elif item.failed_version > failed_before:
                    raise self._failure(item.failed_errcode)  # somebody tried while we waited
            left = self._item.time_left(began)
            if left <= 0:
                raise AuthError(WECHAT_UNAVAILABLE, "No access_token came in time: try again.")
            self._item.pause(min(left, pause))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _look(self, appid: str, rejected: str | None) -> tuple[str, Item]:
        """Look once: use what is there, renew it if nobody else does; no token means wait."""
        item = self._item.read(appid)
        now = self._clock()
        if not item.usable(now, rejected) or item.is_due(now, REQUEST_WINDOW):
            try:
                if token := self._renew(appid, item, rejected):
                    return token, item
            except (AuthError, *AwsError) as error:
                if not item.usable(self._clock(), rejected):
                    raise
                invocation.log_fault(explain(error))
        usable = item.usable(self._clock(), rejected)
        return (self._remember(appid, item) if usable else ""), item

    def _renew(self, appid: str, item: Item, rejected: str | None) -> str:
        """Get a token from WeChat under the lease and write it; empty if somebody else is at it.

        A request never does this twice: to lose the lease takes longer than it may wait.
        """
        if self._clock() < item.lease_until:
            return ""
        self._secrets.key_ring()  # without which nothing could be written
        owner = self._item.take_lease(appid, item)
        if owner is None:
            return ""
        try:
            issued, asked_at = self._issue_another(appid, item, owner, rejected)
        except (AuthError, *AwsError) as error:
            invocation.count("AccessTokenRenewalFailures")
            fault = explain(error)
            if self._item.give_up_lease(appid, owner, fault.errcode or 0):
                raise fault from None
            return self._theirs(appid, rejected)
        invocation.count("AccessTokenRenewals")
        renewed = Item(
            token=issued.token,
            token_expires_at=asked_at + issued.expires_in,
            life=issued.expires_in,
        )
        try:
            shared = self._item.write(appid, owner, renewed, same=issued.token == item.token)
        except AwsError:
            return self._remember(appid, renewed, shared=False)
        if shared and renewed.usable(self._clock()):
            return self._remember(appid, renewed)
        return self._theirs(appid, rejected)

    def _theirs(self, appid: str, rejected: str | None) -> str:
        """Use what others renewed while we were away past our lease; empty if it is not there."""
        item = self._item.read(appid, consistent=True)
        return self._remember(appid, item) if item.usable(self._clock(), rejected) else ""

    def _issue_another(
        self, appid: str, item: Item, owner: str, rejected: str | None
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
        self, appid: str, item: Item, owner: str, rejected: str | None
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
        if not self._item.count_forced(appid, owner, day=today, count=used + 1, at=now):
            raise AuthError(WECHAT_UNAVAILABLE)  # frozen past our lease: somebody else is at it
        invocation.count("AccessTokenForced")
        issued, asked_at = self._issue(appid, force=True)
        if issued.token == rejected:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token and hands it out again even when forced",
            )
        return issued, asked_at

    def _remember(self, appid: str, item: Item, *, shared: bool = True) -> str:
        """Keep a token; look again when it should be renewed, each worker at its own moment."""
        look_at = self._clock() + _soon()
        if shared:
            renew_at = item.renew_at(REQUEST_WINDOW)
            spread = (item.token_expires_at - renew_at) * _SPREAD
            look_at = max(look_at, renew_at + _random.uniform(0, spread))
        self._memory[appid] = _Remembered(item.token, item.token_expires_at, look_at)
        return item.token

    def _failure(self, errcode: int) -> AuthError:
        """Say of a renewal that somebody else tried what it ended in."""
        if errcode:
            call = "getAccessToken" if self._mode == "classic" else "getStableAccessToken"
            return WeChatError(call, errcode)
        return AuthError(WECHAT_UNAVAILABLE)


def _soon() -> float:
    """Return the seconds until another look at the table; never the same for a whole crowd."""
    return LOOK_AGAIN * _random.uniform(0.5, 1)
