"""The Platform table: what a third-party platform must not lose.

``platform`` (key: its appid) · ``appid`` (sort key). Under the platform's own appid: ``sealed``
(the ticket) · ``changed_at`` (its CreateTime) · ``asked_at``, ``listed_at`` (when the schedule last
asked for tickets, and got the list of merchants). Under a merchant's: ``sealed`` (the refresh
token; without it the authorisation was withdrawn) · ``changed_at`` (of the newest event that was
heeded) · ``permissions`` (numbers, or absent if unknown) · ``worker``, ``busy_until`` (who is
taking up an authorisation, until when) · ``failed_at`` (when the schedule got no access_token, as
if the merchant authorised the platform no more).

Nothing expires, and the table outlives the stack: a refresh token is good until its merchant
withdraws the authorisation. What was sealed under an older key the schedule seals again, every
minute; so whoever only reads needs no right to write.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Item, Table
from wechat_crypto import UnsealError

TICKET_LIFE = 12 * 3600
"""Seconds that a component_verify_ticket is valid."""
BUSY_SECONDS = 20
"""Seconds after which another may take up an authorisation that one has begun to."""
_PURPOSE = "platform"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The newest component_verify_ticket.

    Attributes:
        text: The ticket.
        created_at: Its CreateTime, in seconds since 1970.
    """

    text: str = field(repr=False)
    created_at: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant's mini-program.

    Attributes:
        appid: Its appid.
        authorized: Whether it authorises the platform, as far as is known here.
        changed_at: When it authorised the platform or withdrew that, in seconds since 1970.
        refresh_token: Its refresh token; ``None`` if it is lost.
        permissions: The permission sets that it granted; ``None`` if that is not known.
        failed_at: When the schedule got no access_token for it, in seconds since 1970, or 0.
    """

    appid: str
    authorized: bool
    changed_at: int
    refresh_token: str | None = field(default=None, repr=False)
    permissions: frozenset[int] | None = None
    failed_at: float = 0


class PlatformTable:
    """The Platform table, as one platform sees it.

    Args:
        table: The table.
        appid: The platform's own appid.
        secrets: For the key ring.
        clock: Gives the time in seconds.
    """

    def __init__(
        self, table: Table, appid: str, secrets: SecretStore, *, clock: Callable[[], float]
    ) -> None:
        self._table = table
        self._appid = appid
        self._secrets = secrets
        self._clock = clock

    def ticket(self) -> Ticket | None:
        """Return the newest ticket, unless it is older than 12 hours."""
        item = self._table.get(self._key(self._appid)) or {}
        text, created_at = self._unsealed(item), int(item.get("changed_at", 0))
        if text is None or self._clock() >= created_at + TICKET_LIFE:
            return None
        return Ticket(text, created_at)

    def keep_ticket(self, text: str, created_at: int) -> bool:
        """Keep a ticket in one write; ``False`` if it is no newer than the one that is there."""
        return self._table.update_if(
            "attribute_not_exists(changed_at) OR changed_at < :at",
            self._key(self._appid),
            "SET sealed = :sealed, changed_at = :at",
            {"sealed": self._sealed(self._appid, text), "at": created_at},
        )

    def is_time(
        self, what: Literal["asked_at", "listed_at"], every: float, *, again: float | None = None
    ) -> bool:
        """Tell one worker of all, each so many seconds, that it is time to do something.

        Args:
            what: What is done.
            every: Seconds until it is done again.
            again: Seconds until then if `done` is not called, as when it failed.
        """
        now = self._clock()
        return self._table.update_if(
            f"attribute_not_exists({what}) OR {what} <= :before",
            self._key(self._appid),
            f"SET {what} = :at",
            {"at": now if again is None else now - every + again, "before": now - every},
        )

    def done(self, what: Literal["listed_at"]) -> None:
        """Note that what it was time for is done."""
        self._table.update_if(
            f"attribute_exists({what})",
            self._key(self._appid),
            f"SET {what} = :now",
            {"now": self._clock()},
        )

    def is_authorized(self, appid: str) -> bool:
        """Tell whether a merchant authorises the platform, as far as is known here."""
        return "sealed" in (self._table.get(self._key(appid), consistent=False) or {})

    def merchant(self, appid: str) -> Merchant | None:
        """Return a merchant that has ever authorised the platform, as far as is known here."""
        item = self._table.get(self._key(appid))
        return None if item is None or "changed_at" not in item else self._merchant(item)

    def merchants(self, *, seal_again: bool = False) -> list[Merchant]:
        """Return all merchants that authorise the platform.

        Args:
            seal_again: Whether what an older key sealed, the ticket too, is sealed again.
        """
        items: list[Item] = []
        page: dict[str, Any] = {}
        while True:
            found, more = self._table.query(
                "#platform = :platform", {"platform": self._appid}, **page
            )
            items += found
            if more is None:
                break
            page = {"ExclusiveStartKey": more}
        if seal_again:
            for item in items:
                self._seal_again(item)
        merchants = [self._merchant(item) for item in items if item["appid"] != self._appid]
        return [merchant for merchant in merchants if merchant.authorized]

    def begin(self, appid: str, at: int) -> Literal["begun", "done", "busy"]:
        """Begin to take up an authorisation, unless that was done, or another is at it.

        The SDK repeats a write whose reply was lost: the second one finds this very worker.

        Args:
            appid: The merchant's mini-program.
            at: When it authorised the platform (CreateTime).
        """
        now, worker = self._clock(), uuid.uuid4().hex
        if self._table.update_if(
            "(attribute_not_exists(changed_at) OR changed_at < :at) "
            "AND (attribute_not_exists(busy_until) OR busy_until <= :now OR worker = :worker)",
            self._key(appid),
            "SET busy_until = :until, worker = :worker",
            {"at": at, "now": now, "until": now + BUSY_SECONDS, "worker": worker},
        ):
            return "begun"
        known = self._table.get(self._key(appid)) or {}
        return "done" if int(known.get("changed_at", 0)) >= at else "busy"

    def authorize(
        self, appid: str, refresh_token: str, permissions: frozenset[int] | None, at: int
    ) -> bool:
        """Store what a merchant authorised, unless something as new is known.

        Args:
            appid: The merchant's mini-program.
            refresh_token: Its refresh token.
            permissions: What it granted; ``None`` if that is not known.
            at: When it did, in seconds since 1970.
        """
        values: Item = {"sealed": self._sealed(appid, refresh_token), "at": at}
        update = "SET sealed = :sealed, changed_at = :at REMOVE busy_until, worker, failed_at"
        if permissions is not None:
            update = update.replace(" REMOVE", ", #permissions = :granted REMOVE")
            values["granted"] = ",".join(map(str, sorted(permissions)))
        return self._table.update_if(
            "attribute_not_exists(changed_at) OR changed_at < :at", self._key(appid), update, values
        )

    def withdraw(self, appid: str, at: int) -> bool:
        """Forget what a merchant authorised; ``False`` if something newer is known."""
        return self._table.update_if(
            "attribute_not_exists(changed_at) OR changed_at <= :at",
            self._key(appid),
            "SET changed_at = :at REMOVE sealed, #permissions, busy_until, worker, failed_at",
            {"at": at},
        )

    def keep_refresh_token(self, merchant: Merchant, refresh_token: str) -> bool:
        """Store a merchant's new refresh token, unless it has changed its authorisation since."""
        return self._table.update_if(
            "changed_at = :at AND attribute_exists(sealed)",
            self._key(merchant.appid),
            "SET sealed = :sealed REMOVE failed_at",
            {"sealed": self._sealed(merchant.appid, refresh_token), "at": merchant.changed_at},
        )

    def failed(self, merchant: Merchant) -> None:
        """Note that the schedule got no access_token for a merchant, unless it authorised anew."""
        self._table.update_if(
            "changed_at = :at",
            self._key(merchant.appid),
            "SET failed_at = :now",
            {"at": merchant.changed_at, "now": self._clock()},
        )

    def _merchant(self, item: Item) -> Merchant:
        granted = item.get("permissions")
        return Merchant(
            appid=item["appid"],
            authorized="sealed" in item,
            changed_at=int(item.get("changed_at", 0)),
            refresh_token=self._unsealed(item),
            permissions=None
            if granted is None
            else frozenset(int(number) for number in granted.split(",") if number),
            failed_at=item.get("failed_at", 0),
        )

    def _key(self, appid: str) -> Item:
        return {"platform": self._appid, "appid": appid}

    def _context(self, appid: str) -> str:
        return f"{self._table.name}|{self._appid}|{appid}"

    def _sealed(self, appid: str, text: str) -> bytes:
        return self._secrets.key_ring().seal(
            text.encode(), purpose=_PURPOSE, context=self._context(appid)
        )

    def _unsealed(self, item: Item) -> str | None:
        if "sealed" not in item:
            return None
        context = self._context(item["appid"])
        try:
            return self._secrets.unseal(item["sealed"], purpose=_PURPOSE, context=context).decode()
        except UnsealError:
            return None  # sealed under a key that is gone: lost

    def _seal_again(self, item: Item) -> None:
        """Seal what an item holds again, unless the current key did, or it changes meanwhile."""
        if "sealed" not in item or self._secrets.key_ring().is_current(item["sealed"]):
            return
        if (text := self._unsealed(item)) is not None:
            self._table.update_if(
                "sealed = :old",
                self._key(item["appid"]),
                "SET sealed = :new",
                {"old": item["sealed"], "new": self._sealed(item["appid"], text)},
            )
