"""Our own sessions: the token a client holds, and the sealed item behind it.

A token is base64url of 52 bytes: user id (16) · issued at (4, big-endian seconds) · secret (32,
random). The item's sort key holds only a hash of the secret, so the table holds no usable token,
and openid, unionid and session_key stand sealed, bound to the item's place. A login is one write,
a check one read, and logging out everywhere one query.

Beside a user's sessions stands one item that counts the day's failed decryptions. It sorts after
them, so that reading the newest sessions brings it along.
"""

import base64
import binascii
import hashlib
import json
import secrets as random_source
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from wechat_auth.errors import SESSION_INVALID, TOO_MANY_FAILURES, AuthError
from wechat_auth.secret_store import SecretStore
from wechat_auth.wechat import Code2Session
from wechat_crypto import UnsealError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_USER, _ISSUED, _SECRET = 16, 4, 32
_TOKEN = _USER + _ISSUED + _SECRET
_TOKEN_TEXT = 70  # characters of base64url without padding
_FAILURES = "~failures"
_OTHER_KEYS = 3
_BATCH = 25  # BatchWriteItem takes no more
_DAY = 86_400


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
    """

    user: bytes = field(repr=False)
    sort_key: str = field(repr=False)
    appid: str
    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)
    session_key: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """What a login gives the client.

    Attributes:
        token: The Bearer token.
        expires_at: When it ends, in seconds since 1970.
        session: The session behind it.
    """

    token: str = field(repr=False)
    expires_at: int
    session: Session


@dataclass(frozen=True, slots=True)
class History:
    """What decryption needs to know of a user.

    Attributes:
        session: The session of this request.
        session_keys: The keys to try: this session's, then the user's newest others.
        failures: Failed decryptions today.
    """

    session: Session
    session_keys: tuple[str, ...] = field(repr=False)
    failures: int


class Sessions:
    """The sessions of all users.

    Args:
        dynamodb: Gives the client when it is first needed.
        table: The Sessions table.
        secrets: For the key ring.
        life: Seconds a session lives.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        dynamodb: "Callable[[], DynamoDBClient]",
        table: str,
        secrets: SecretStore,
        *,
        life: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """See the class."""
        self._dynamodb = dynamodb
        self._table = table
        self._secrets = secrets
        self._life = life
        self._clock = clock

    def issue(self, appid: str, who: Code2Session) -> IssuedSession:
        """Start a session: one write."""
        issued_at = int(self._clock())
        ring = self._secrets.key_ring()
        user = ring.fingerprint(appid, who.openid, purpose="user")[:_USER]
        secret = random_source.token_bytes(_SECRET)
        session = Session(
            user=user,
            sort_key=_sort_key(issued_at, secret),
            appid=appid,
            openid=who.openid,
            unionid=who.unionid,
            session_key=who.session_key,
            expires_at=issued_at + self._life,
        )
        sealed = ring.seal(
            json.dumps([appid, who.openid, who.unionid, who.session_key]).encode(),
            purpose="session",
            context=self._context(user, session.sort_key),
        )
        self._dynamodb().put_item(
            TableName=self._table,
            Item={
                **_key(user, session.sort_key),
                "sealed": {"B": sealed},
                "expires_at": {"N": str(session.expires_at)},
            },
        )
        token = base64.urlsafe_b64encode(user + issued_at.to_bytes(_ISSUED, "big") + secret)
        return IssuedSession(token.decode().rstrip("="), session.expires_at, session)

    def find(self, token: str) -> Session:
        """Find the living session of a token: one read.

        Raises:
            AuthError: ``session_invalid`` if it is malformed, unknown, expired or logged out.
        """
        user, sort_key = _read_token(token)
        return self._living(user, sort_key)

    def find_with_history(self, token: str) -> History:
        """Find the session of a token together with the user's newest others: one read.

        Raises:
            AuthError: ``session_invalid``.
        """
        user, sort_key = _read_token(token)
        newest, failures = self._newest(user)
        session = next((one for one in newest if one.sort_key == sort_key), None)
        if session is None:
            session = self._living(user, sort_key)  # an older one, or none
        return self._history(session, {user: (newest, failures)})

    def history(self, session: Session) -> History:
        """Read the user's newest other sessions, for a session that is known to live."""
        return self._history(session, {})

    def end(self, session: Session) -> None:
        """Log out: the token is refused from the next request on."""
        self._dynamodb().delete_item(
            TableName=self._table, Key=_key(session.user, session.sort_key)
        )

    def end_all(self, session: Session) -> None:
        """Log the user out of this app everywhere."""
        for user in self._partitions(session):
            self._delete(user, self._sort_keys(user))

    def count_failure(self, session: Session, limit: int) -> None:
        """Count a failed decryption of this user against the day's budget.

        Raises:
            AuthError: ``too_many_failures`` if the budget was used up before; nobody may then
                learn that this attempt failed too.
        """
        now = int(self._clock())
        user = self._partitions(session)[0]
        today: AttributeValueTypeDef = {"N": str(now // _DAY)}

        def add() -> bool:
            return self._update_failures(
                user,
                "ADD failures :one",
                "#day >= :today AND failures < :limit",
                {":one": {"N": "1"}, ":today": today, ":limit": {"N": str(limit)}},
            )

        def begin_the_day() -> bool:
            return self._update_failures(
                user,
                "SET failures = :one, #day = :today, expires_at = :ttl",
                "attribute_not_exists(#day) OR #day < :today",
                {":one": {"N": "1"}, ":today": today, ":ttl": {"N": str((now // _DAY + 2) * _DAY)}},
            )

        # Added once more where another request began the day in between.
        if not (add() or begin_the_day() or add()):
            raise too_many_failures(now)

    def check_budget(self, history: History, limit: int) -> None:
        """Refuse a user who has used up today's failed decryptions.

        Raises:
            AuthError: ``too_many_failures``.
        """
        if history.failures >= limit:
            raise too_many_failures(int(self._clock()))

    def _update_failures(
        self,
        user: bytes,
        update: str,
        condition: str,
        values: "dict[str, AttributeValueTypeDef]",
    ) -> bool:
        """Update the day's counter if the condition holds, and tell whether it did."""
        try:
            self._dynamodb().update_item(
                TableName=self._table,
                Key=_key(user, _FAILURES),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#day": "day"},
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _partitions(self, session: Session) -> list[bytes]:
        """Return where this user's items stand: the current key's partition, then older keys'."""
        ring = self._secrets.key_ring()
        ids = [
            each[:_USER]
            for each in ring.fingerprints(session.appid, session.openid, purpose="user")
        ]
        return ids if session.user in ids else [*ids, session.user]

    def _living(self, user: bytes, sort_key: str) -> Session:
        answer = self._dynamodb().get_item(
            TableName=self._table, Key=_key(user, sort_key), ConsistentRead=True
        )
        session = self._open(user, answer.get("Item", {}))
        if session is None:
            raise AuthError(SESSION_INVALID)
        return session

    def _newest(self, user: bytes) -> tuple[list[Session], int]:
        """Read a user's newest living sessions and today's failures, in one query."""
        answer = self._dynamodb().query(
            TableName=self._table,
            KeyConditionExpression="#user = :user",
            ExpressionAttributeNames={"#user": "user"},
            ExpressionAttributeValues={":user": {"B": user}},
            ScanIndexForward=False,
            Limit=2 + _OTHER_KEYS,
            ConsistentRead=True,
        )
        items = answer["Items"]
        failures = 0
        if items and items[0]["session"]["S"] == _FAILURES:
            counter = items.pop(0)
            if int(counter["day"]["N"]) >= int(self._clock()) // _DAY:
                failures = int(counter["failures"]["N"])
        sessions = (self._open(user, item) for item in items)
        return [session for session in sessions if session is not None], failures

    def _history(self, session: Session, known: dict[bytes, tuple[list[Session], int]]) -> History:
        # More than one partition only while a rotated key's sessions are still alive.
        read = [known.get(user) or self._newest(user) for user in self._partitions(session)]
        others = sorted(
            (one for newest, _ in read for one in newest if one.sort_key != session.sort_key),
            key=lambda one: one.sort_key,
            reverse=True,
        )
        keys = (session.session_key, *(one.session_key for one in others[:_OTHER_KEYS]))
        return History(session, tuple(dict.fromkeys(keys)), sum(failures for _, failures in read))

    def _open(self, user: bytes, item: Any) -> Session | None:
        """Unseal an item; ``None`` if it is absent, expired (TTL may lag days) or not ours."""
        if "sealed" not in item or int(item["expires_at"]["N"]) <= self._clock():
            return None
        sort_key: str = item["session"]["S"]
        try:
            appid, openid, unionid, session_key = json.loads(
                self._secrets.unseal(
                    item["sealed"]["B"],
                    purpose="session",
                    context=self._context(user, sort_key),
                )
            )
        except UnsealError:
            return None
        return Session(
            user, sort_key, appid, openid, unionid, session_key, int(item["expires_at"]["N"])
        )

    def _sort_keys(self, user: bytes) -> list[str]:
        """List all of a user's sessions, expired ones included."""
        found: list[str] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._dynamodb().query(
                TableName=self._table,
                KeyConditionExpression="#user = :user AND #session < :failures",
                ExpressionAttributeNames={"#user": "user", "#session": "session"},
                ExpressionAttributeValues={":user": {"B": user}, ":failures": {"S": _FAILURES}},
                ProjectionExpression="#session",
                ConsistentRead=True,
                **page,
            )
            found += [item["session"]["S"] for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _delete(self, user: bytes, sort_keys: Iterable[str]) -> None:
        requests: list[Any] = [
            {"DeleteRequest": {"Key": _key(user, sort_key)}} for sort_key in sort_keys
        ]
        while requests:
            batch, requests = requests[:_BATCH], requests[_BATCH:]
            answer = self._dynamodb().batch_write_item(RequestItems={self._table: batch})
            requests += answer["UnprocessedItems"].get(self._table, [])

    def _context(self, user: bytes, sort_key: str) -> str:
        return f"{self._table}|{user.hex()}|{sort_key}"


def too_many_failures(now: int) -> AuthError:
    """Make the 429 that tells how long the day still is."""
    return AuthError(TOO_MANY_FAILURES, retry_after=_DAY - now % _DAY)


def _read_token(token: str) -> tuple[bytes, str]:
    """Take a token apart; one that could not have been issued is refused like an unknown one."""
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
    return f"{issued_at:010d}#{hashlib.sha256(secret).hexdigest()}"


def _key(user: bytes, sort_key: str) -> "dict[str, AttributeValueTypeDef]":
    return {"user": {"B": user}, "session": {"S": sort_key}}
