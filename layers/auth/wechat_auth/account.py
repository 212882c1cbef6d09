"""The team's own account function: a Lambda that is asked about a user before the client is told.

It is asked at each login and at each verified phone number, so that the team's servers learn both
from here and never from the client. It answers who that is to them, or refuses. Whatever is wrong
with it is the team's to mend: the client is told to try again, and nothing is lost meanwhile.

The messages are those of infra/account-function.schema.json, version 1.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

from wechat_auth import invocation
from wechat_auth.errors import ACCOUNT_UNAVAILABLE, AccountRefusedError, AuthError
from wechat_auth.sessions import Account, Session, Sessions
from wechat_auth.storage import Aws, StorageError
from wechat_auth.wechat import Code2Session, PhoneNumber
from wechat_crypto import parse_json

VERSION = 1
MAX_CLAIMS = 2048
"""Bytes of JSON that claims may take in UTF-8: each session holds them."""
_MAX_ACCOUNT_ID = 128
_MAX_TITLE = 100
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HINTS = ("isNew", "needsPhone")
_REMEDY = (
    "the function of AccountFunctionArn cannot be called: it must be there, in the region of this "
    "stack, and if it is another account's, its own policy must allow the call"
)

By = Literal["phoneCode", "encryptedData", "cloudID"]
"""The way in which a phone number was verified."""


class AccountFunction:
    """The account function of this deployment.

    Args:
        aws: Calls it.
        arn: Of the function, or of a version or alias of it.
        sessions: Learn what it answers.
    """

    def __init__(self, aws: Aws, arn: str, sessions: Sessions) -> None:
        self._aws = aws
        self._arn = arn
        self._sessions = sessions
        self.seconds = aws.invoke_seconds + sessions.write_seconds
        """Seconds that a question can take, the write of what it brings to a session included."""

    def connect(self) -> None:
        """Connect ahead of the first question; if that fails, it will try again and say so."""
        self._aws.connect_to_lambda()

    def login(self, appid: str, who: Code2Session) -> Account:
        """Ask about a user who is logging in.

        Raises:
            AuthError: ``account_refused``, or ``account_unavailable``.
        """
        about = {"event": "login", "appid": appid, **_user(who.openid, who.unionid)}
        return self._ask(about, reserve=self._sessions.write_seconds)

    def phone(
        self,
        appid: str,
        session: Session | None,
        number: PhoneNumber,
        by: By,
        *,
        reserve: float = 0,
    ) -> Mapping[str, bool]:
        """Ask about a phone number, and let the session learn what is new.

        Args:
            appid: The app in which the user consented.
            session: Of the user, if anyone is logged in.
            number: Which WeChat vouched for.
            by: In which way.
            reserve: Seconds of the invocation to leave for what must come after.

        Returns:
            What the client is told.

        Raises:
            AuthError: ``account_refused``, ``account_unavailable``, or ``storage_unavailable``
                before the client is told anything.
        """
        about = {
            "event": "phone",
            "appid": appid,
            **(_user(session.openid, session.unionid) if session else {}),
            "phoneNumber": number.phone_number,
            "purePhoneNumber": number.pure_phone_number,
            "countryCode": number.country_code,
            "verifiedAt": number.verified_at,
            "by": by,
        }
        account = self._ask(about, reserve=self._sessions.write_seconds + reserve)
        if session:
            self._sessions.learn(session, account)
        return account.hints

    def tell(self, about: Mapping[str, object]) -> None:
        """Tell of an event that no client waits for; what it answers, as JSON, means nothing.

        Raises:
            AuthError: ``account_unavailable``: it must be told again.
        """
        try:
            json.loads(self._invoke(about, patient=True))
        except ValueError:
            raise _nonsense("it is no JSON") from None  # so it was something else that answered

    def _ask(self, about: Mapping[str, object], *, reserve: float) -> Account:
        began = time.monotonic()
        try:
            return read_answer(self._invoke(about, reserve=reserve))
        finally:
            invocation.measure_ms("AccountFunctionLatency", (time.monotonic() - began) * 1000)

    def _invoke(
        self, about: Mapping[str, object], *, reserve: float = 0, patient: bool = False
    ) -> bytes:
        message = {"version": VERSION, **about}
        content = json.dumps({name: each for name, each in message.items() if each is not None})
        try:
            return self._aws.invoke(self._arn, content.encode(), reserve=reserve, patient=patient)
        except StorageError as error:
            raise _unavailable(error.reason, _REMEDY if error.remedy else None) from None


def read_answer(content: bytes) -> Account:
    """Read what an account function answered; members that are not known here are ignored.

    Raises:
        AuthError: ``account_refused``, or ``account_unavailable`` if it makes no sense.
    """
    try:
        document = parse_json(content, unique=True)
    except ValueError:
        raise _nonsense("it is no JSON") from None
    if not isinstance(document, dict):
        raise _nonsense("it is no JSON object")
    answer = _Members(document)
    if (refusal := answer.object("refuse")) is not None:
        invocation.count("AccountRefusals")
        raise AccountRefusedError(
            refusal.text("title", _MAX_TITLE), refusal.text("code", _MAX_TITLE, _CODE)
        )
    claims = answer.object("claims")
    if claims and len(_utf8(claims.document)) > MAX_CLAIMS:
        raise _nonsense(f"claims takes more than {MAX_CLAIMS} bytes")
    account = answer.object("account") or _Members({})
    return Account(
        account_id=answer.text("accountId", _MAX_ACCOUNT_ID),
        claims=claims.document if claims else None,
        hints={name: yes for name in _HINTS if (yes := account.flag(name)) is not None},
    )


class _Members:
    """The members of a JSON object; one that is ``null`` is as good as absent."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def object(self, name: str) -> "_Members | None":
        value = self.document.get(name)
        if value is not None and not isinstance(value, dict):
            raise _nonsense(f"{name} is no object")
        return None if value is None else _Members(value)

    def flag(self, name: str) -> bool | None:
        value = self.document.get(name)
        if value is not None and not isinstance(value, bool):
            raise _nonsense(f"{name} is neither true nor false")
        return value

    def text(self, name: str, longest: int, pattern: re.Pattern[str] | None = None) -> str | None:
        value = self.document.get(name)
        if value is None:
            return None
        good = isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
        if not good or (pattern and not pattern.fullmatch(value)):
            raise _nonsense(f"{name} is not as the schema has it")
        return str(value)


def _user(openid: str, unionid: str | None) -> dict[str, str | None]:
    return {"openid": openid, "unionid": unionid}


def _utf8(document: object) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _nonsense(what: str) -> AuthError:
    return _unavailable(f"its answer: {what}")


def _unavailable(reason: str | None, remedy: str | None = None) -> AuthError:
    """Make the error of an account function that failed; it never quotes what that answered."""
    return AuthError(ACCOUNT_UNAVAILABLE, reason=reason, remedy=remedy, call="AccountFunction")
