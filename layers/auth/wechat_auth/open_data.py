"""Legacy decrypt: encryptedData and iv, or a cloudID, become what WeChat encrypted.

Every failure is one and the same answer after the same work, whichever check failed: CBC carries
no authentication, and who can tell failures apart can forge a phone number. What does not decrypt
is therefore asked about at WeChat (checkEncryptedData) just like a phone number that does.
"""

from dataclasses import dataclass, field
from typing import Any

from wechat_auth import invocation, services
from wechat_auth.errors import UNDECRYPTABLE, AuthError, WeChatError
from wechat_auth.sessions import History
from wechat_auth.with_access_token import with_access_token
from wechat_crypto import OpenDataError, decrypt_open_data, verify_raw_data_signature

_KEPT_HERE = frozenset({"watermark", "openId"})  # an openid never reaches a client
_PHONE_FIELDS = frozenset({"phoneNumber", "purePhoneNumber", "countryCode"})


@dataclass(frozen=True, slots=True)
class EncryptedOpenData:
    """What a phone gave, in one of its two forms.

    Attributes:
        encrypted_data: Base64 of the ciphertext; empty where there is a cloudID instead.
        iv: Base64 of 16 bytes; empty where there is a cloudID instead.
        cloud_id: The cloudID, or empty.
        raw_data: ``rawData`` of wx.getUserInfo, where it was sent.
        signature: ``signature`` of wx.getUserInfo, where it was sent.
    """

    encrypted_data: str = field(default="", repr=False)
    iv: str = field(default="", repr=False)
    cloud_id: str = field(default="", repr=False)
    raw_data: str | None = field(default=None, repr=False)
    signature: str | None = field(default=None, repr=False)


def read_open_data(encrypted: EncryptedOpenData, history: History) -> dict[str, Any]:
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
    settings = services.settings()
    sessions = services.sessions()
    sessions.check_budget(history, settings.decrypt_failures_per_day)
    if encrypted.cloud_id:
        data = _exchange(encrypted, history)
    else:
        data = _decrypt(encrypted, history)
        if settings.check_encrypted_data and (data is None or _PHONE_FIELDS & data.keys()):
            made_by_wechat = with_access_token(
                history.session.appid,
                lambda token: services.wechat().check_encrypted_data(
                    token, encrypted.encrypted_data
                ),
            )
            data = data if made_by_wechat else None
    if data is None:
        invocation.count("DecryptFailures")
        sessions.count_failure(history.session, settings.decrypt_failures_per_day)
        raise AuthError(UNDECRYPTABLE)
    invocation.count("Decrypts")
    if "countryCode" in data:
        data["countryCode"] = str(data["countryCode"])
    return {name: value for name, value in data.items() if name not in _KEPT_HERE}


def _decrypt(encrypted: EncryptedOpenData, history: History) -> dict[str, Any] | None:
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
                now=services.clock(),
                max_age=services.settings().open_data_max_age,
            )
        except OpenDataError:
            continue
        found = data if _signature_good(encrypted, (session_key,)) else None
    return found


def _exchange(encrypted: EncryptedOpenData, history: History) -> dict[str, Any] | None:
    session = history.session
    try:
        data = with_access_token(
            session.appid,
            lambda token: services.wechat().open_data(token, session.openid, encrypted.cloud_id),
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
