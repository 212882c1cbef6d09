"""Legacy decrypt: encryptedData and iv, or a cloudID, become what WeChat encrypted.

Every failure is one and the same answer after the same work, whichever check failed: CBC carries
no authentication, and who can tell failures apart can forge a phone number. What does not decrypt
is therefore asked about at WeChat (checkEncryptedData) just like a phone number that does, and a
failure is counted before WeChat is asked: while it cannot answer, nobody may guess for nothing.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from wechat_auth import invocation
from wechat_auth.errors import UNDECRYPTABLE, AuthError, WeChatError, invalid_field
from wechat_auth.failure_budget import FailureBudget
from wechat_auth.fields import EncryptedOpenData
from wechat_auth.sessions import History, Session
from wechat_auth.wechat import PhoneNumber, WeChat, country_code, watermark_time
from wechat_crypto import (
    OpenDataError,
    decrypt_open_data,
    has_watermark,
    verify_raw_data_signature,
)

if TYPE_CHECKING:
    from wechat_auth.account import AccountFunction
    from wechat_auth.secured_calls import Envelope
    from wechat_auth.tokens.access_tokens import AccessTokens

_KEPT_HERE = frozenset({"watermark", "openId", "unionId"})  # no client gets these
_PHONE_FIELDS = frozenset({"phoneNumber", "purePhoneNumber", "countryCode"})
_NOT_A_DIGIT = re.compile(r"[^0-9]")


@dataclass(frozen=True, slots=True)
class OpenData:
    """Reads what phones send encrypted.

    Attributes:
        failure_budget: Of each user.
        access_tokens: For the calls to WeChat.
        wechat: Vouches for phone numbers, and exchanges cloudIDs.
        envelope: Returns what an app's calls are sealed in, if it has API security.
        max_age: Seconds that a watermark may be away from now.
        check_encrypted_data: Whether WeChat must vouch for phone numbers.
        clock: Gives the time in seconds.
        account_function: The team's, if there is one; it is asked about phone numbers.
    """

    failure_budget: FailureBudget
    access_tokens: "AccessTokens"
    wechat: WeChat
    envelope: "Callable[[str], Envelope | None]"
    max_age: int
    check_encrypted_data: bool
    clock: Callable[[], float] = time.time
    account_function: "AccountFunction | None" = None

    def read(self, encrypted: EncryptedOpenData, history: History) -> dict[str, Any]:
        """Decrypt or exchange open data of the user whose session this is.

        Args:
            encrypted: What the phone gave.
            history: The session, the session_keys to try, and today's failures.

        Returns:
            What the client gets: ``data`` without its ``watermark``, ``openId`` and ``unionId``,
            which no client gets, and ``account`` if the account function has something for it.

        Raises:
            AuthError: ``invalid_request`` if rawData and its signature are wrong, which tells
                nothing of the ciphertext; ``undecryptable``, ``too_many_failures``,
                ``wechat_unavailable``, ``account_unavailable``, ``account_refused`` or an
                operator's fault.
        """
        self.failure_budget.check(history.spent)
        if not _signature_good(encrypted, history.session_keys):
            raise invalid_field(
                "rawData",
                "is not the text that signature was made of with a session_key of this user: send "
                "both exactly as wx gave them, rawData not parsed and written anew, and call "
                "wx.login before wx.getUserInfo; or send neither",
            )
        data = self._decrypt(encrypted, history) if encrypted.encrypted_data else None
        by_cloud_id = data is None and bool(encrypted.cloud_id)
        if by_cloud_id:
            self.failure_budget.count(history.spent)
            data = self._exchange(encrypted, history)
            # With a cloudID of one's own beside it, what does not decrypt must not be free.
            if data is not None and not encrypted.encrypted_data:
                self.failure_budget.give_back(history.spent)
        else:
            data = self._vouched_for(data, encrypted, history)
        if data is None:
            invocation.count("DecryptFailures")
            raise AuthError(UNDECRYPTABLE)
        invocation.count("Decrypts")
        if "countryCode" in data:
            data["countryCode"] = _country_code(data)
        shown = {name: value for name, value in data.items() if name not in _KEPT_HERE}
        if not (self.account_function and _PHONE_FIELDS & data.keys()):
            return {"data": shown}
        number = PhoneNumber(
            str(data["phoneNumber"]),
            str(data["purePhoneNumber"]),
            data["countryCode"],
            watermark_time(data),
        )
        hints = self.account_function.phone(
            history.session.appid,
            history.session,
            number,
            "cloudID" if by_cloud_id else "encryptedData",
        )
        return {"data": shown, **({"account": hints} if hints else {})}

    def _vouched_for(
        self, data: dict[str, Any] | None, encrypted: EncryptedOpenData, history: History
    ) -> dict[str, Any] | None:
        """Let WeChat vouch for a phone number, and ask just the same about what did not decrypt.

        Its yes is remembered, so that repeats of one ciphertext do not use up the app's quota.
        """
        known = not self.check_encrypted_data or self.failure_budget.is_vouched_for(
            history.spent, encrypted.encrypted_data
        )
        if data is not None and (known or not _PHONE_FIELDS & data.keys()):
            return data
        self.failure_budget.count(history.spent)
        made_by_wechat = known or self._made_by_wechat(encrypted, history)
        if data is None or not made_by_wechat:
            return None
        self.failure_budget.give_back(history.spent, encrypted.encrypted_data)
        return data

    def _decrypt(self, encrypted: EncryptedOpenData, history: History) -> dict[str, Any] | None:
        """Try each session_key: wx.login around the tap replaces it, the data needs the one before.

        All of them though one fits, so that what WeChat then refuses was no less work.
        """
        found = None
        for session_key in history.session_keys:
            try:
                data = decrypt_open_data(
                    session_key,
                    encrypted.encrypted_data,
                    encrypted.iv,
                    appid=history.session.appid,
                    now=self.clock(),
                    max_age=self.max_age,
                    damaged=True,
                )
            except OpenDataError:
                continue
            if _consistent(data, history.session):
                found = data
        return found

    def _made_by_wechat(self, encrypted: EncryptedOpenData, history: History) -> bool:
        appid = history.session.appid
        sealed_in = self.envelope(appid)
        return self.access_tokens.using(
            appid,
            lambda token: self.wechat.check_encrypted_data(
                token, encrypted.encrypted_data, sealed_in
            ),
        )

    def _exchange(self, encrypted: EncryptedOpenData, history: History) -> dict[str, Any] | None:
        session = history.session
        try:
            data = self.access_tokens.using(
                session.appid,
                lambda token: self.wechat.open_data(token, session.openid, encrypted.cloud_id),
            )
        except WeChatError as error:
            if error.problem is UNDECRYPTABLE:
                return None
            raise
        if data is None:
            return None
        good = has_watermark(
            data, appid=session.appid, now=self.clock(), max_age=self.max_age
        ) and _consistent(data, session)
        return data if good else None


def _signature_good(encrypted: EncryptedOpenData, session_keys: tuple[str, ...]) -> bool:
    raw_data, signature = encrypted.raw_data, encrypted.signature
    if raw_data is None or signature is None:
        return True
    return any(
        verify_raw_data_signature(text, key, signature)
        for text in {raw_data, unquote(raw_data)}  # some front ends encode it for a URL
        for key in session_keys
    )


def _consistent(data: Mapping[str, Any], session: Session) -> bool:
    """Tell whether open data is this user's, and a phone number, if it has one, whole.

    Nothing vouches for the iv, so the first 16 bytes of the plaintext are the user's to choose.
    """
    ours: bool = data.get("openId", session.openid) == session.openid
    if session.unionid is not None:
        ours &= data.get("unionId", session.unionid) == session.unionid
    if not _PHONE_FIELDS & data.keys():
        return ours
    number, pure, country = (
        _NOT_A_DIGIT.sub("", text)
        for text in (*_numbers(data), _country_code(data) if "countryCode" in data else "")
    )
    return ours and bool(pure and country) and number in {pure, country + pure}


def _numbers(data: Mapping[str, Any]) -> tuple[str, str]:
    return str(data.get("phoneNumber", "")), str(data.get("purePhoneNumber", ""))


def _country_code(data: Mapping[str, Any]) -> str:
    return country_code(data["countryCode"], *_numbers(data))
