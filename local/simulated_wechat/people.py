"""The users: who they are to one app, and the one session_key that is live."""

import base64
import secrets
from dataclasses import dataclass


def new_openid() -> str:
    """Make an openid or unionid: 28 characters, the first an o."""
    return "o" + secrets.token_urlsafe(21)[:27]


def new_session_key() -> str:
    """Make a session_key: 16 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


@dataclass(slots=True)
class Person:
    """One user of one app.

    Attributes:
        appid: The app.
        openid: Who the user is to that app.
        unionid: Who the user is to the app's owner; None if it is not bound to an open platform.
        number: Phone number without country code.
        country_code: Country code without plus sign.
        nick_name: What wx.getUserInfo tells.
        session_key: The live session_key; None before the first login and after it expired.
    """

    appid: str
    openid: str
    unionid: str | None
    number: str
    country_code: str
    nick_name: str
    session_key: str | None = None

    def live_session_key(self) -> str:
        """Return the session_key that data is encrypted with now, made if there is none."""
        if self.session_key is None:
            self.session_key = new_session_key()
        return self.session_key
