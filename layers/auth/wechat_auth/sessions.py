"""Our own sessions: the token a client holds, and the sealed item behind it.

A token is base64url of 52 bytes: user id (16) · issued at (4, big-endian seconds) · secret (32; its
first two bytes are the fraction of the second, the others random). The item's sort key holds only a
hash of the secret, so the table holds no usable token, and openid, unionid, session_key and what
the team's account function said are sealed, bound to the item's place and the session's end. A
login is one write, a check one read, and logging out everywhere one query.
"""

import base64
import binascii
import hashlib
import json
import math
import secrets as random_source
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from wechat_auth import failure_budget
from wechat_auth.errors import SESSION_INVALID, AuthError
from wechat_auth.failure_budget import Spent
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Item, StorageError, Table
from wechat_auth.wechat import Code2Session
from wechat_crypto import UnsealError

_USER, _ISSUED, _SECRET = 16, 4, 32
_FRACTION = 2  # bytes of the secret, so that several logins in a second keep their order
_TOKEN = _USER + _ISSUED + _SECRET
_TOKEN_TEXT = 70  # characters of base64url without padding
_OTHER_KEYS = 3  # session_keys of the user's other sessions that are tried


@dataclass(frozen=True, slots=True)
class Session:
    """A living session.

    Attributes:
        user: The user's partition in the table, 16 bytes.
        sort_key: Which of the user's sessions it is.
        appid: The app the user logged in to.
        openid: The user, as that app knows them.
        unionid: The user across apps, if WeChat told it.
        session_key: The session_key of this login; a later wx.login may have replaced it.
        expires_at: When it ends, in seconds since 1970.
        account_id: The team's own name of the user, if its account function gave one.
        claims: What that function said for the team's servers, if anything.
    """

    user: bytes = field(repr=False)
    sort_key: str = field(repr=False)
    appid: str
    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)
    session_key: str = field(repr=False)
    expires_at: int
    account_id: str | None = field(default=None, repr=False)
    claims: Mapping[str, object] | None = field(default=None, repr=False)

    @property
    def issued_at(self) -> int:
        """When it began, in seconds since 1970."""
        return _issued_at(self.sort_key)


@dataclass(frozen=True, slots=True)
class Account:
    """What the team's account function says of a user.

    Attributes:
        account_id: The team's own name of the user, or ``None``: nothing new.
        claims: What the team's servers are to know with each session, or ``None``: nothing new.
        hints: What the client is told, by ``isNew`` and ``needsPhone``.
    """

    account_id: str | None = field(default=None, repr=False)
    claims: Mapping[str, object] | None = field(default=None, repr=False)
    hints: Mapping[str, bool] = field(default_factory=dict)


NO_ACCOUNT = Account()


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """What a login gives the client.

    Attributes:
        token: The Bearer token.
        expires_at: When it ends, in seconds since 1970.
        session: The session behind it.
        hints: What the account function has for the client.
    """

    token: str = field(repr=False)
    expires_at: int
    session: Session
    hints: Mapping[str, bool] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what the client gets."""
        hints = {"account": self.hints} if self.hints else {}
        return {"token": self.token, "expiresAt": self.expires_at, **hints}


@dataclass(frozen=True, slots=True)
class History:
    """What decryption needs to know of a user.

    Attributes:
        session: The session of this request.
        session_keys: The keys to try: this session's, then the user's newest others.
        spent: What the user has had of today's budget.
    """

    session: Session
    session_keys: tuple[str, ...] = field(repr=False)
    spent: Spent


class Sessions:
    """The sessions of all users.

    Args:
        table: The Sessions table.
        secrets: For the key ring.
        appids: The mini-programs that are served; a session of another one is none.
        life: Seconds a session lives; if that gets less, it holds for older sessions too.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        table: Table,
        secrets: SecretStore,
        *,
        appids: Container[str],
        life: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._secrets = secrets
        self._appids = appids
        self._life = life
        self._clock = clock
        self._sleep = sleep
        self.write_seconds = table.try_seconds
        """Seconds that a write can take."""

    def issue(self, appid: str, who: Code2Session, account: Account = NO_ACCOUNT) -> IssuedSession:
        """Start a session: one write."""
        now = self._clock()
        issued_at = int(now)
        fingerprint = self._secrets.key_ring().fingerprint(appid, who.openid, purpose="user")
        user = fingerprint[:_USER]
        fraction = int((now - issued_at) * 256**_FRACTION).to_bytes(_FRACTION, "big")
        secret = fraction + random_source.token_bytes(_SECRET - _FRACTION)
        session = Session(
            user=user,
            sort_key=_sort_key(issued_at, secret),
            appid=appid,
            openid=who.openid,
            unionid=who.unionid,
            session_key=who.session_key,
            expires_at=issued_at + self._life,
            account_id=account.account_id,
            claims=account.claims,
        )
        self.keep(session)
        token = base64.urlsafe_b64encode(user + issued_at.to_bytes(_ISSUED, "big") + secret)
        return IssuedSession(token.decode().rstrip("="), session.expires_at, session, account.hints)

    def keep(self, session: Session) -> None:
        """Write a session down: one write."""
        self._table.put(
            {
                "user": session.user,
                "session": session.sort_key,
                "sealed": self._seal(session),
                "expires_at": session.expires_at,
            }
        )

    def learn(self, session: Session, account: Account) -> None:
        """Let a session know what is new about the account, unless it has ended: one write."""
        told = replace(
            session,
            account_id=session.account_id if account.account_id is None else account.account_id,
            claims=session.claims if account.claims is None else account.claims,
        )
        if told != session:
            self._table.update_if(
                "attribute_exists(sealed)",
                {"user": session.user, "session": session.sort_key},
                "SET sealed = :sealed, expires_at = :ends",
                {"sealed": self._seal(told), "ends": session.expires_at},
            )

    def find(self, token: str) -> Session:
        """Find the living session of a token: one read.

        Raises:
            AuthError: ``session_invalid`` if it is malformed, unknown, expired or logged out.
        """
        user, sort_key = place_of(token)
        return self._living(user, sort_key)

    def find_with_history(self, token: str) -> History:
        """Find the session of a token together with the user's newest others: one read.

        Raises:
            AuthError: ``session_invalid``.
        """
        user, sort_key = place_of(token)
        newest, counter = self._newest(user)
        session = next((one for one in newest if one.sort_key == sort_key), None)
        if session is None:
            session = self._living(user, sort_key)  # an older one, or none
        return self._history(session, {user: (newest, counter)})

    def history(self, session: Session) -> History:
        """Read the user's newest other sessions, for a session that is known to live."""
        return self._history(session, {})

    def end(self, session: Session) -> None:
        """Log out: the token is refused from the next request on."""
        self._table.delete({"user": session.user, "session": session.sort_key})

    def discard(self, session: Session) -> None:
        """End a session whose token nobody was given; if that fails, it expires by itself."""
        with suppress(StorageError):
            self.end(session)

    def end_all(self, session: Session) -> None:
        """Log the user out of this app everywhere, newest session first."""
        self._end_partitions(self._partitions(session))

    def end_all_of(self, appid: str, openid: str, *, until: float = math.inf) -> int:
        """Log a user out of an app everywhere, and return how many living sessions that ended.

        Args:
            appid: The app.
            openid: The user.
            until: Sessions that began later, in seconds since 1970, go on.
        """
        return self._end_partitions(self._users(appid, openid), until)

    def _end_partitions(self, users: list[bytes], until: float = math.inf) -> int:
        ended, oldest = 0, self._clock() - self._life
        for user in users:
            keys = [key for key in self._sort_keys(user) if _issued_at(key) <= until]
            self._table.delete_all(
                [{"user": user, "session": sort_key} for sort_key in keys], sleep=self._sleep
            )
            ended += sum(_issued_at(sort_key) > oldest for sort_key in keys)
        return ended

    def _partitions(self, session: Session) -> list[bytes]:
        """Return where the items of a session's user are, also if its key left the ring."""
        ids = self._users(session.appid, session.openid)
        return ids if session.user in ids else [*ids, session.user]

    def _users(self, appid: str, openid: str) -> list[bytes]:
        """Return where a user's items are: the current key's partition, then older keys'."""
        ring = self._secrets.key_ring()
        return [each[:_USER] for each in ring.fingerprints(appid, openid, purpose="user")]

    def _living(self, user: bytes, sort_key: str) -> Session:
        item = self._table.get({"user": user, "session": sort_key})
        session = self._open(item) if item else None
        if session is None:
            raise AuthError(SESSION_INVALID)
        return session

    def _newest(self, user: bytes) -> tuple[list[Session], list[Item]]:
        """Read a user's newest living sessions and the counter, if there is one, in one query."""
        items, _ = self._table.query(
            "#user = :user", {"user": user}, newest_first=True, Limit=2 + _OTHER_KEYS
        )
        counter = [item for item in items if item["session"] == failure_budget.SORT_KEY]
        sessions = (self._open(item) for item in items)
        return [session for session in sessions if session is not None], counter

    def _history(
        self, session: Session, known: dict[bytes, tuple[list[Session], list[Item]]]
    ) -> History:
        # More than one partition only while a rotated key's sessions are still alive.
        partitions = self._partitions(session)
        read = [known.get(user) or self._newest(user) for user in partitions]
        others = sorted(
            (one for newest, _ in read for one in newest if one.sort_key != session.sort_key),
            key=lambda one: one.sort_key,
            reverse=True,
        )
        keys = (session.session_key, *(one.session_key for one in others[:_OTHER_KEYS]))
        counters = [item for _, counter in read for item in counter]
        spent = Spent.of(partitions[0], counters, self._clock())
        return History(session, tuple(dict.fromkeys(keys)), spent)

    def _open(self, item: Item) -> Session | None:
        """Unseal an item; ``None`` if it has expired (TTL may lag days) or is not ours."""
        if "sealed" not in item:
            return None
        user, sort_key, expires_at = item["user"], item["session"], item["expires_at"]
        ends = min(expires_at, _issued_at(sort_key) + self._life)
        if ends <= self._clock():
            return None
        try:
            appid, openid, unionid, session_key, *account = json.loads(
                self._secrets.unseal(
                    item["sealed"],
                    purpose="session",
                    context=self._context(user, sort_key, expires_at),
                )
            )
        except UnsealError:
            return None
        if appid not in self._appids:
            return None
        return Session(user, sort_key, appid, openid, unionid, session_key, ends, *account)

    def _seal(self, session: Session) -> bytes:
        content: list[object] = [
            session.appid, session.openid, session.unionid, session.session_key
        ]  # fmt: skip
        if session.account_id is not None or session.claims is not None:
            content += [session.account_id, session.claims]
        return self._secrets.key_ring().seal(
            json.dumps(content).encode(),
            purpose="session",
            context=self._context(session.user, session.sort_key, session.expires_at),
        )

    def _sort_keys(self, user: bytes) -> list[str]:
        """List all of a user's sessions, newest first, expired ones included."""
        found: list[str] = []
        page: Item = {"ProjectionExpression": "#session"}
        while True:
            items, rest = self._table.query(
                "#user = :user AND #session < :failures",
                {"user": user, "failures": failure_budget.SORT_KEY},
                newest_first=True,
                **page,
            )
            found += [item["session"] for item in items]
            if rest is None:
                return found
            page["ExclusiveStartKey"] = rest

    def _context(self, user: bytes, sort_key: str, expires_at: int) -> str:
        return f"{self._table.name}|{user.hex()}|{sort_key}|{expires_at}"


def place_of(token: str) -> tuple[bytes, str]:
    """Return the partition and the sort key of a token's session.

    Raises:
        AuthError: ``session_invalid``, as for an unknown token, if it could not have been issued.
    """
    try:
        decoded = base64.b64decode(token + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise AuthError(SESSION_INVALID) from None
    canonical = base64.urlsafe_b64encode(decoded).decode().rstrip("=")
    if len(decoded) != _TOKEN or len(token) != _TOKEN_TEXT or canonical != token:
        raise AuthError(SESSION_INVALID)
    user, rest = decoded[:_USER], decoded[_USER:]
    return user, _sort_key(int.from_bytes(rest[:_ISSUED], "big"), rest[_ISSUED:])


def _sort_key(issued_at: int, secret: bytes) -> str:
    fraction = int.from_bytes(secret[:_FRACTION], "big")
    return f"{issued_at:010d}.{fraction:05d}#{hashlib.sha256(secret).hexdigest()}"


def _issued_at(sort_key: str) -> int:
    return int(sort_key.partition(".")[0])
