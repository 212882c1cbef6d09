"""What a request's body may hold, field by field; anything else is 400 and names the field.

Unknown fields are ignored, so that a client may be newer than the server.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wechat_auth.apps import Apps
from wechat_auth.errors import APP_NOT_AUTHORIZED, SESSION_INVALID, AuthError, invalid_field
from wechat_auth.sessions import Session
from wechat_crypto import Base64Error, decode_base64, repair_base64

_CODE = re.compile(r"[0-9A-Za-z_-]{1,256}")
_MOCK_CODE = "the code is a mock one"  # DevTools, in a project without an appid of its own
_APPID = re.compile(r"wx[0-9a-f]{16}")
_CLOUD_ID = re.compile(r"[0-9A-Za-z_-]{1,512}")
_PAGE = re.compile(r"https://[0-9A-Za-z.-]+(/[!-~]*)?")
_OPENID = re.compile(r"[0-9A-Za-z_-]{1,128}")
_MOST_OPENIDS = 100
_LONGEST_TOKEN = 512
_SIGNATURE = re.compile(r"[0-9a-fA-F]{40}")
_IV_LENGTH = 16
_BLOCK = 16

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EncryptedOpenData:
    """What a phone gave, in one of its two forms or in both.

    Attributes:
        encrypted_data: Base64 of the ciphertext; empty if there is only a cloudID.
        iv: Base64 of 16 bytes; empty if there is only a cloudID.
        cloud_id: The cloudID, or empty.
        raw_data: ``rawData`` of wx.getUserInfo, if it was sent.
        signature: ``signature`` of wx.getUserInfo, if it was sent.
    """

    encrypted_data: str = field(default="", repr=False)
    iv: str = field(default="", repr=False)
    cloud_id: str = field(default="", repr=False)
    raw_data: str | None = field(default=None, repr=False)
    signature: str | None = field(default=None, repr=False)


def code(body: Body) -> str:
    """Read ``code``: a login or phone code, which is letters, digits, ``_`` and ``-``."""
    if body.get("code") == _MOCK_CODE:
        raise invalid_field(
            "code",
            "is WeChat DevTools' mock one: open the project there with the mini-program's appid",
        )
    return _matching(
        body, "code", _CODE, "must be the code from wx.login or getPhoneNumber, unmodified"
    )


def appid(body: Body, apps: Apps, session: Session | None = None) -> str:
    """Read ``appid``, or know it: from the session, or if there is one own mini-program.

    Args:
        body: The request's body.
        apps: The mini-programs this deployment serves.
        session: Of the user who is logged in, if anyone; ``appid`` may only repeat its app.

    Raises:
        AuthError: ``session_invalid`` if the session's app is not served here any more;
            ``app_not_authorized`` if it is no merchant's of the platform, where there is one.
    """
    if session:
        if session.appid not in apps:
            raise AuthError(SESSION_INVALID)
        if body.get("appid", session.appid) != session.appid:
            raise invalid_field("appid", "must be the app that the Bearer token belongs to")
        return session.appid
    if "appid" not in body:
        if len(apps.own) == 1:
            return apps.own[0]
        raise invalid_field("appid", "is needed, since more than one mini-program is served here")
    value = body["appid"]
    if isinstance(value, str):
        if value in apps.own:
            return value
        if apps.merchants is not None and _APPID.fullmatch(value):
            if value in apps.merchants:
                return value
            raise AuthError(APP_NOT_AUTHORIZED)
    raise invalid_field("appid", "must be the appid of a mini-program that is served here")


def rejected(body: Body) -> str | None:
    """Read ``rejected``: an access_token that WeChat refuses, if one was sent."""
    if "rejected" not in body:
        return None
    value = _text(body, "rejected")
    if len(value) > _LONGEST_TOKEN:
        raise invalid_field("rejected", "must be the access_token that WeChat refused")
    return value


def page(body: Body) -> str | None:
    """Read ``page``: where an authorisation returns to, if one was sent."""
    if "page" not in body:
        return None
    return _matching(body, "page", _PAGE, "must be the https address of a page")


def openids(body: Body) -> list[str]:
    """Read ``openids``: 1 to 100 users of one app."""
    value = body.get("openids")
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_OPENIDS:
        raise invalid_field("openids", f"must be a list of 1 to {_MOST_OPENIDS} openids")
    if not all(isinstance(each, str) and _OPENID.fullmatch(each) for each in value):
        raise invalid_field("openids", "must hold openids alone, as WeChat writes them")
    return list(dict.fromkeys(value))


def open_data(body: Body) -> EncryptedOpenData:
    """Read what WeChat hands out together: ``encryptedData`` + ``iv``, ``cloudID``, or all three.

    ``rawData`` + ``signature`` may come with either.
    """
    raw_data, signature = _raw_data(body)
    cloud_id = ""
    decrypts = "encryptedData" in body or "iv" in body
    if body.get("cloudID") or ("cloudID" in body and not decrypts):
        cloud_id = _matching(body, "cloudID", _CLOUD_ID, "must be the cloudID from wx, unmodified")
        if not decrypts:
            return EncryptedOpenData(cloud_id=cloud_id, raw_data=raw_data, signature=signature)
    encrypted_data, iv = _base64(body, "encryptedData"), _base64(body, "iv")
    if len(decode_base64(iv)) != _IV_LENGTH:
        raise invalid_field("iv", "must be base64 of 16 bytes (24 characters)")
    if len(decode_base64(encrypted_data)) % _BLOCK:
        raise invalid_field("encryptedData", "was cut: AES blocks are 16 bytes each")
    return EncryptedOpenData(encrypted_data, iv, cloud_id, raw_data, signature)


def _raw_data(body: Body) -> tuple[str | None, str | None]:
    if "rawData" not in body and "signature" not in body:
        return None, None
    signature = _matching(body, "signature", _SIGNATURE, "must be 40 hexadecimal digits")
    return _text(body, "rawData"), signature.lower()


def _base64(body: Body, name: str) -> str:
    try:
        return repair_base64(_text(body, name))
    except Base64Error as error:
        raise invalid_field(name, str(error)) from None


def _matching(body: Body, name: str, pattern: re.Pattern[str], expectation: str) -> str:
    value = _text(body, name)
    if not pattern.fullmatch(value):
        raise invalid_field(name, expectation)
    return value


def _text(body: Body, name: str) -> str:
    if name not in body:
        raise invalid_field(name, "is missing")
    value = body[name]
    if not isinstance(value, str) or not value:
        raise invalid_field(name, "must be a non-empty string")
    return value
