"""The row by which all execution environments share an app's access_token, and its lease.

``appid`` (key) · ``sealed``, ``token_expires_at``, ``life`` (the token) · ``renew_from`` (WeChat
handed out the same one) · ``version`` (renewals begun) · ``lease_owner``, ``lease_until`` ·
``failed_version``, ``failed_errcode`` (the last failure) · ``forced_day``, ``forced_count``,
``forced_at`` · ``expires_at`` (TTL: two days after the token expires, since the forced refreshes of
a day must outlive the tokens of that day).

Whoever renews holds the lease. It is taken only if no renewal has begun since the row was read,
and everything else is written only while it is held, so that a worker that was frozen past its
lease changes nothing.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Item, Table
from wechat_auth.wechat import CALL, AccessToken
from wechat_crypto import UnsealError

RENEWAL_WINDOW = 300.0
"""Seconds before a token expires in which WeChat hands out its successor and both work."""
LEASE_SECONDS = 2 * CALL.total + 5
"""Seconds a renewal may take: longer than its two calls, so that a living holder keeps it."""
PAUSE_AFTER_SAME = 15.0
"""Seconds in which WeChat would only hand out again what it has just handed out."""
PAUSE_AFTER_FAILURE = 1.0
"""Seconds before the next worker may try after a renewal failed."""
KEEP_ROW_SECONDS = 2 * 86_400
"""Seconds a row is kept after its token expired."""
_PURPOSE = "access_token"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An app's row as it was read; ``token`` is ``None`` if there is none that can be used."""

    token: str | None = field(default=None, repr=False)
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
        """Whether the worker that forced last died, or lost the lease, before it wrote."""
        return self.asked_at < self.forced_at and self.failed_version < self.version

    def usable(self, now: float, rejected: str | None = None) -> bool:
        """Tell whether there is a token that lives and is not the rejected one."""
        return self.token is not None and now < self.token_expires_at and self.token != rejected

    def is_due(self, now: float, window: float) -> bool:
        """Tell whether a token that still lives should be renewed."""
        return now >= max(self.renew_at(window), self.renew_from)

    def renew_at(self, window: float) -> float:
        """Return when to renew: ``window`` seconds before it expires.

        In proportion earlier if its life is short: a token may be issued with 300 s.
        """
        return self.token_expires_at - min(window, self.life / 2 * window / RENEWAL_WINDOW)


class TokenTable:
    """The AccessTokens table, one row an app.

    Args:
        table: The table.
        secrets: For the key ring.
        clock: Gives the time in seconds.
    """

    def __init__(self, table: Table, secrets: SecretStore, *, clock: Callable[[], float]) -> None:
        self._table = table
        self._secrets = secrets
        self._clock = clock

    def read(self, appid: str, *, consistent: bool = False) -> TokenRow:
        """Read the app's row; one that is absent has no token and version 0.

        Args:
            appid: The app.
            consistent: Whether what was written a moment ago must be seen.
        """
        # Eventually consistent, at half the price: what it decides is guarded by `version`.
        item = self._table.get({"appid": appid}, consistent=consistent) or {}
        known = {name: item[name] for name in _COLUMNS if name in item}
        return TokenRow(token=self._unsealed(appid, item), **known)

    def take_lease(self, appid: str, row: TokenRow) -> "Lease | None":
        """Take the lease unless a renewal has begun since the row was read.

        The SDK may send this twice: if the first reply was lost, the lease is ours already.
        """
        now = self._clock()
        owner = uuid.uuid4().hex
        unchanged = "version = :version" if row.version else "attribute_not_exists(version)"
        taken = self._table.update_if(
            f"({unchanged} AND (attribute_not_exists(lease_until) OR lease_until <= :now)) "
            "OR lease_owner = :owner",
            {"appid": appid},
            "SET lease_owner = :owner, lease_until = :until, version = :next, expires_at = :ttl",
            {
                "owner": owner,
                "until": now + LEASE_SECONDS,
                "next": row.version + 1,
                "now": now,
                "ttl": int(max(now, row.token_expires_at)) + KEEP_ROW_SECONDS,
                **({"version": row.version} if row.version else {}),
            },
        )
        if not taken:
            return None
        return Lease(appid, owner, self._table, self._secrets, self._clock)

    def forget(self, appid: str) -> None:
        """Forget the app's token, which nobody may use any more."""
        self._table.delete({"appid": appid})

    def _unsealed(self, appid: str, item: Item) -> str | None:
        if "sealed" not in item:
            return None
        try:
            context = _context(self._table, appid)
            return self._secrets.unseal(item["sealed"], purpose=_PURPOSE, context=context).decode()
        except UnsealError:
            return None  # sealed under a key that is gone: as good as absent


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to renew an app's access_token; each write tells whether it is still held."""

    appid: str
    owner: str
    _table: Table
    _secrets: SecretStore
    _clock: Callable[[], float]

    def write(self, issued: AccessToken, *, asked_at: float, same: bool) -> bool:
        """Write a token and give the lease back.

        Args:
            issued: The token.
            asked_at: When WeChat was asked for it; its life counts from there.
            same: Whether it is the one that was there: WeChat's clock is behind ours, and its
                window is not open yet.
        """
        expires_at = asked_at + issued.expires_in
        sealed = self._secrets.key_ring().seal(
            issued.token.encode(), purpose=_PURPOSE, context=_context(self._table, self.appid)
        )
        return self._update(
            "SET sealed = :sealed, token_expires_at = :expires, life = :life, expires_at = :ttl, "
            "renew_from = :from, lease_until = :free, version = version + :one REMOVE lease_owner",
            {
                "sealed": sealed,
                "expires": expires_at,
                "life": issued.expires_in,
                "ttl": int(expires_at) + KEEP_ROW_SECONDS,
                "from": self._clock() + PAUSE_AFTER_SAME if same else 0,
                "free": 0,
                "one": 1,  # who read the row before must read it again
            },
        )

    def give_up(self, errcode: int) -> bool:
        """Turn the lease into a short pause, and leave word of what went wrong."""
        return self._update(
            "SET lease_until = :until, failed_version = version, failed_errcode = :errcode "
            "REMOVE lease_owner",
            {"until": self._clock() + PAUSE_AFTER_FAILURE, "errcode": errcode},
        )

    def count_forced(self, *, day: str, count: int, at: float) -> bool:
        """Count a forced refresh before it is made."""
        return self._update(
            "SET forced_day = :day, forced_count = :count, forced_at = :now",
            {"day": day, "count": count, "now": at},
        )

    def _update(self, update: str, values: Item) -> bool:
        return self._table.update_if(
            "lease_owner = :owner", {"appid": self.appid}, update, {"owner": self.owner, **values}
        )


_COLUMNS = (
    "token_expires_at", "life", "renew_from", "version", "lease_until", "failed_version",
    "failed_errcode", "forced_day", "forced_count", "forced_at",
)  # fmt: skip


def _context(table: Table, appid: str) -> str:
    return f"{table.name}|{appid}"
