"""Legacy decrypt: encryptedData and iv, or a cloudID, become what WeChat encrypted.

Every failure is one and the same answer after the same work, whichever check failed: CBC carries
no authentication, and who can tell failures apart can forge a phone number. What does not decrypt
is therefore asked about at WeChat (checkEncryptedData) just like a phone number that does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wechat_auth import invocation
from wechat_auth.errors import UNDECRYPTABLE, AuthError, WeChatError
from wechat_auth.failure_budget import FailureBudget
from wechat_auth.fields import EncryptedOpenData
from wechat_auth.sessions import History
from wechat_auth.wechat import WeChat
from wechat_crypto import OpenDataError, decrypt_open_data, verify_raw_data_signature

if TYPE_CHECKING:
    from wechat_auth.tokens.access_tokens import AccessTokens

_KEPT_HERE = frozenset({"watermark", "openId"})  # an openid never reaches a client
_PHONE_FIELDS = frozenset({"phoneNumber", "purePhoneNumber", "countryCode"})


@dataclass(frozen=True, slots=True)
class OpenData:
    """Reads what phones send encrypted.

    Attributes:
        failure_budget: Of each user.
        access_tokens: For the calls to WeChat.
        wechat: Vouches for phone numbers, and exchanges cloudIDs.
        max_age: Seconds that a watermark may be away from now.
        check_encrypted_data: Whether WeChat must vouch for phone numbers.
        clock: Gives the time in seconds.
    """

    failure_budget: FailureBudget
    access_tokens: "AccessTokens"
    wechat: WeChat
    max_age: int
    check_encrypted_data: bool
    clock: Callable[[], float] = time.time

    def read(self, encrypted: EncryptedOpenData, history: History) -> dict[str, Any]:
        """Decrypt or exchange open data of the user whose session this is.

        Args:
            encrypted: What the phone gave.
            history: The session, the session_keys to try, and today's failures.

        Returns:
            The data without its ``watermark``, and without ``openId``, which no client gets.

        Raises:
            AuthError: ``undecryptable``, ``too_many_failures``, ``wechat_unavailable`` or an
                operator's fault.
        """
        self.failure_budget.check(history.failures)
        if encrypted.cloud_id:
            data = self._exchange(encrypted, history)
        else:
            data = self._decrypt(encrypted, history)
            if self.check_encrypted_data and (data is None or _PHONE_FIELDS & data.keys()):
                data = data if self._made_by_wechat(encrypted, history) else None
        if data is None:
            invocation.count("DecryptFailures")
            self.failure_budget.count(history.user)
            raise AuthError(UNDECRYPTABLE)
        invocation.count("Decrypts")
        if "countryCode" in data:
            data["countryCode"] = str(data["countryCode"])
        return {name: value for name, value in data.items() if name not in _KEPT_HERE}

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
                )
            except OpenDataError:
                continue
            found = data if _signature_good(encrypted, (session_key,)) else None
        return found

    def _made_by_wechat(self, encrypted: EncryptedOpenData, history: History) -> bool:
        return self.access_tokens.using(
            history.session.appid,
            lambda token: self.wechat.check_encrypted_data(token, encrypted.encrypted_data),
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
        watermark = data.get("watermark")
        ours = isinstance(watermark, dict) and watermark.get("appid") == session.appid
        return data if ours and _signature_good(encrypted, history.session_keys) else None


def _signature_good(encrypted: EncryptedOpenData, session_keys: tuple[str, ...]) -> bool:
    raw_data, signature = encrypted.raw_data, encrypted.signature
    if raw_data is None or signature is None:
        return True
    return any(verify_raw_data_signature(raw_data, key, signature) for key in session_keys)
