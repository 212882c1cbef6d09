"""One access_token for every execution environment: memory, then DynamoDB, then WeChat.

An app has one living access_token. It is kept sealed in a DynamoDB row that all environments
share, and whoever renews it holds a lease on that row, taken and given back by conditional
writes. The rules:

* Fresh: use it. In its last 300 s (or half its life, if that is shorter) the schedule renews it,
  and in the last 180 s whichever worker needs it first; the others do not wait.
* Expired or absent: one worker renews it; the others look again until it is there, the renewal has
  failed, or their time is up. Whoever has a living token in memory never waits.
* A result is written only if the lease is still its writer's. A worker that was frozen past its
  lease and wakes up cannot overwrite a newer token; it uses that one.
* Rejected by WeChat: a token younger than 15 s is tried again after a second. Then it is renewed,
  only if the stored token still is the rejected one, and forced if WeChat hands out the same one
  again; 30 s apart and 20 times a day at most. When the source replaces the token with each call, a
  renewal after a rejection counts as forced.

Source for the rules of the tokens: getStableAccessToken and getAccessToken, WeChat mini-program
server API.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from wechat_auth import invocation
from wechat_auth.errors import (
    API_SECURITY_REFUSED,
    TOKEN_REFUSED,
    WECHAT_UNAVAILABLE,
    AuthError,
    WeChatError,
)
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import StorageError
from wechat_auth.tokens.sources import TokenSource
from wechat_auth.tokens.table import (
    PAUSE_AFTER_SAME,
    RENEWAL_WINDOW,
    Lease,
    TokenRow,
    TokenTable,
)
from wechat_auth.wechat import CALL, AccessToken

T = TypeVar("T")

REQUEST_WINDOW = 180.0
"""The last part of the renewal window, in which requests renew too; the rest is the schedule's."""
LOOK_AGAIN = 10.0
"""Seconds between two looks at the table by a worker that holds a token inside its window."""
MAX_WAIT = 8.0
"""Seconds a worker waits for the row, time permitting."""
LONGEST_PAUSE = 0.6
"""Seconds between two tries of a worker that waits, at most."""
FORCED_APART = 30
"""Seconds between two forced refreshes; WeChat ignores the second one within them."""
FORCED_PER_DAY = 20
"""Forced refreshes a day that WeChat allows."""
FIRST_PAUSE = 0.4
"""Seconds before the second look of a worker that waits, at most."""
SPREAD = 1 / 3
"""Part of the requests' window over which the workers' looks are spread."""
YOUNG = 15.0
"""Seconds after its issue in which one refusal of a token is not believed."""
_YOUNG_PAUSE = 1.0  # seconds before a young token is tried again
# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token in this environment's memory, and until when it is used without another look."""

    token: str = field(repr=False)
    asked_at: float
    expires_at: float
    look_at: float


@dataclass(frozen=True, slots=True)
class _Renewal:
    """A renewal under way: the row it started from, its lease, and the token that was refused."""

    row: TokenRow
    lease: Lease
    rejected: str | None = field(repr=False)


class AccessTokens:
    """The access_token of each app.

    Args:
        table: The row that all environments share.
        source_of: Returns where an app's new tokens come from.
        secrets: For the key ring.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
        jitter: Gives a number between two by chance, so that workers do not act in step.
    """

    def __init__(
        self,
        table: TokenTable,
        source_of: Callable[[str], TokenSource],
        secrets: SecretStore,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[float, float], float] = _random.uniform,
    ) -> None:
        self._table = table
        self._source_of = source_of
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._memory: dict[str, _Remembered] = {}

    def using(self, appid: str, call: Callable[[str], T]) -> T:
        """Make a call with the app's access_token; if that is refused, once more with another.

        A refused token means that WeChat did not look at the rest, so a code in it is not spent.

        Args:
            appid: The app.
            call: Takes an access_token and makes the call.

        Raises:
            AuthError: What ``call`` raises, or that no access_token can be had.
        """
        token = self.get(appid)
        try:
            return self._calling(appid, token, call)
        except WeChatError as error:
            if error.errcode in API_SECURITY_REFUSED:
                self._secrets.app_secret_refused()
            if error.errcode not in TOKEN_REFUSED:
                raise
        return self._calling(appid, self.get(appid, rejected=token), call)

    def _calling(self, appid: str, token: str, call: Callable[[str], T]) -> T:
        """Make a call; if a young token is refused, once more after a second.

        Not all of WeChat's servers know a token at once, and to replace it by force takes it from
        everybody.
        """
        known = self._memory.get(appid)
        young = known and known.token == token and self._clock() < known.asked_at + YOUNG
        try:
            return call(token)
        except WeChatError as error:
            time_left = invocation.remaining(MAX_WAIT) > _YOUNG_PAUSE + CALL.total
            if error.errcode not in TOKEN_REFUSED or not (young and time_left):
                raise
            self._sleep(_YOUNG_PAUSE)
            known = self._known(appid, None)
            if known is None or known.token != token:
                raise  # it has expired meanwhile
        return call(token)

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
            self._memory[appid] = replace(known, look_at=self._clock() + self._soon())
            try:
                self._look(appid, rejected)
            except AuthError as error:
                invocation.log_fault(error)
            known = self._known(appid, rejected)
        return known.token if known else self._wait_for(appid, rejected)

    def expires_at(self, appid: str) -> int:
        """Return when the token that was given last expires, in seconds since 1970."""
        return int(self._memory[appid].expires_at)

    def renew(self, appid: str) -> bool:
        """Renew the token if it is inside its window, expired or absent; for the schedule.

        Returns:
            Whether this call renewed it.

        Raises:
            AuthError: As :meth:`get`.
        """
        row = self._table.read(appid)
        now = self._clock()
        if row.usable(now) and not row.is_due(now, RENEWAL_WINDOW):
            return False
        token = self._renew(appid, row, None)
        return token is not None and token != row.token

    def _known(self, appid: str, rejected: str | None) -> _Remembered | None:
        """Return what is in memory, unless it has expired or was rejected: then forget it."""
        known = self._memory.get(appid)
        if known and (known.token == rejected or self._clock() >= known.expires_at):
            del self._memory[appid]
            return None
        return known

    def _wait_for(self, appid: str, rejected: str | None) -> str:
        """Find the token that all environments share, or make it; look again until it is there."""
        began = self._clock()
        failed_before: int | None = None
        pause = FIRST_PAUSE
        while True:
            throttled: StorageError | None = None
            try:
                token, row = self._look(appid, rejected)
            except StorageError as error:
                if not error.throttled:
                    raise
                throttled = error
            else:
                if token:
                    return token
                if failed_before is None:
                    failed_before = row.failed_version
                    invocation.count("AccessTokenWaits")
                elif row.failed_version > failed_before:
                    raise self._failure(appid, row.failed_errcode)  # another worker tried meanwhile
            left = self._time_left(began)
            if left <= 0:
                late = AuthError(WECHAT_UNAVAILABLE, "No access_token came in time: try again.")
                raise throttled or late
            self._pause(min(left, pause))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _look(self, appid: str, rejected: str | None) -> tuple[str | None, TokenRow]:
        """Look once: use what is there, or renew it if no other worker does; ``None``: wait."""
        row = self._table.read(appid)
        now = self._clock()
        if not row.usable(now, rejected) or row.is_due(now, REQUEST_WINDOW):
            try:
                if token := self._renew(appid, row, rejected):
                    return token, row
            except AuthError as error:
                if not row.usable(self._clock(), rejected):
                    raise
                invocation.log_fault(error)
        return self._use(appid, row, rejected), row

    def _renew(self, appid: str, row: TokenRow, rejected: str | None) -> str | None:
        """Fetch and store a new token under the lease; ``None`` if another worker holds it.

        A request never does this twice: to lose the lease takes longer than it may wait.
        """
        if self._clock() < row.lease_until:
            return None
        self._secrets.key_ring()  # without which nothing could be written
        self._source_of(appid).prepare(appid)
        lease = self._table.take_lease(appid, row)
        if lease is None:
            return None
        try:
            issued, asked_at = self._issue_another(_Renewal(row, lease, rejected))
        except AuthError as error:
            invocation.count("AccessTokenRenewalFailures")
            if self._give_up(lease, error.errcode or 0):
                raise
            return self._adopt(appid, rejected)
        invocation.count("AccessTokenRenewals")
        renewed = TokenRow(issued.token, asked_at + issued.expires_in, issued.expires_in)
        same = issued.token == row.token
        try:
            shared = self._insist(lambda: lease.write(issued, asked_at=asked_at, same=same))
        except StorageError:
            return self._remember(appid, issued.token, renewed, shared=False)
        if shared and renewed.usable(self._clock()):
            return self._remember(appid, issued.token, renewed)
        return self._adopt(appid, rejected)

    def _adopt(self, appid: str, rejected: str | None) -> str | None:
        """Adopt the token that another worker stored after our lease expired, if there is one."""
        return self._use(appid, self._table.read(appid, consistent=True), rejected)

    def _use(self, appid: str, row: TokenRow, rejected: str | None) -> str | None:
        if row.token is None or not row.usable(self._clock(), rejected):
            return None
        return self._remember(appid, row.token, row)

    def _issue_another(self, renewal: _Renewal) -> tuple[AccessToken, float]:
        """Get a token other than the rejected one, by force only if it must be."""
        row, rejected = renewal.row, renewal.rejected
        source = self._source_of(renewal.lease.appid)
        just_asked = self._clock() < row.asked_at + PAUSE_AFTER_SAME
        if row.token is None or row.token != rejected or (source.reissues and not just_asked):
            issued, asked_at = self._issue(renewal.lease.appid, force=False)
            if issued.token != rejected:
                return issued, asked_at
        return self._force(renewal)

    def _force(self, renewal: _Renewal) -> tuple[AccessToken, float]:
        """Replace a token that WeChat refuses but still hands out, within WeChat's limits."""
        row = renewal.row
        now = self._clock()
        today = time.strftime("%Y-%m-%d", time.gmtime(now + 8 * 3600))  # WeChat's day: UTC+8
        today = max(today, row.forced_day)  # another worker's clock may be past midnight already
        used = row.forced_count if row.forced_day == today else 0
        if used >= FORCED_PER_DAY:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token and the forced refreshes of today are "
                "used up: find who else refreshes this appid's token",
            )
        if now < row.forced_at + FORCED_APART and not row.forced_in_vain:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token just after a forced refresh",
                retry_after=int(row.forced_at + FORCED_APART - now) + 1,
            )
        lease = renewal.lease
        if not self._insist(lambda: lease.count_forced(day=today, count=used + 1, at=now)):
            raise AuthError(WECHAT_UNAVAILABLE)  # frozen past our lease: another worker has it
        invocation.count("AccessTokenForced")
        issued, asked_at = self._issue(lease.appid, force=True)
        if issued.token == renewal.rejected:
            raise AuthError(
                WECHAT_UNAVAILABLE,
                remedy="WeChat refuses the access_token and hands it out again even when forced",
            )
        return issued, asked_at

    def _issue(self, appid: str, *, force: bool) -> tuple[AccessToken, float]:
        """Ask WeChat; a token's life counts from before the call."""
        asked_at = self._clock()
        try:
            return self._source_of(appid).issue(appid, force=force), asked_at
        except StorageError as error:  # not of the row that many want: nothing to wait for
            raise StorageError(error.reason, error.remedy) from None

    def _give_up(self, lease: Lease, errcode: int) -> bool:
        """Give the lease back after a failure; ``False`` if another worker holds it already."""
        try:
            return self._insist(lambda: lease.give_up(errcode))
        except StorageError:
            return True  # it runs out by itself

    def _insist(self, write: Callable[[], bool]) -> bool:
        """Write under the lease, again and again while DynamoDB throttles and there is time.

        A crowd that has just tried for the lease may have used up the row's writes. It now reads
        that the lease is taken, and waits for what we write.
        """
        began = self._clock()
        while True:
            try:
                return write()
            except StorageError as error:
                if not error.throttled or self._time_left(began) <= 0:
                    raise
            self._pause(LONGEST_PAUSE)

    def _remember(self, appid: str, token: str, row: TokenRow, *, shared: bool = True) -> str:
        """Keep a token; look again when it should be renewed, each worker at its own moment."""
        look_at = self._clock() + self._soon()
        if shared:
            renew_at = row.renew_at(REQUEST_WINDOW)
            spread = (row.token_expires_at - renew_at) * SPREAD
            look_at = max(look_at, renew_at + self._jitter(0, spread))
        self._memory[appid] = _Remembered(token, row.asked_at, row.token_expires_at, look_at)
        return token

    def _failure(self, appid: str, errcode: int) -> AuthError:
        """Return the error that another worker's renewal ended with."""
        if errcode:
            return WeChatError(self._source_of(appid).call, errcode)
        return AuthError(WECHAT_UNAVAILABLE)

    def _pause(self, seconds: float) -> None:
        """Sleep that long at most, and not in step with other workers."""
        self._sleep(seconds * self._jitter(0.5, 1))

    def _time_left(self, began: float) -> float:
        """Return how many seconds a worker that began to wait then may still wait."""
        return invocation.remaining(MAX_WAIT - (self._clock() - began))

    def _soon(self) -> float:
        """Return the seconds until another look at the table."""
        return LOOK_AGAIN * self._jitter(0.5, 1)
