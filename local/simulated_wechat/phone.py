"""The other side of WeChat: one person's phone, running one mini-program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .open_data import encrypt, raw_data_signature, to_json
from .people import Person, new_session_key
from .world import World

_CHINA: Final = "86"


@dataclass(frozen=True, slots=True)
class PhoneTap:
    """What bindgetphonenumber gives after one tap; it is billed.

    Attributes:
        code: For getPhoneNumber; works once within five minutes.
        encrypted_data: The same number as open data (base64).
        iv: Its iv (base64).
        cloud_id: The same number for getOpenData; None unless the app has cloud development.
    """

    code: str
    encrypted_data: str
    iv: str
    cloud_id: str | None


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What wx.getUserInfo gives.

    Attributes:
        raw_data: JSON text without the sensitive members, for the signature.
        signature: Hex SHA-1 of raw_data and session_key.
        encrypted_data: Everything, openId and watermark included (base64).
        iv: Its iv (base64).
        cloud_id: The same for getOpenData; None unless the app has cloud development.
    """

    raw_data: str
    signature: str
    encrypted_data: str
    iv: str
    cloud_id: str | None


class Phone:
    """One person's phone, running one mini-program."""

    def __init__(self, world: World, person: Person) -> None:
        self._world = world
        self._person = person

    @property
    def appid(self) -> str:
        """The mini-program that runs on it."""
        return self._person.appid

    @property
    def openid(self) -> str:
        """Who the person is to that mini-program."""
        return self._person.openid

    @property
    def unionid(self) -> str | None:
        """Who the person is to the app's owner, if the app is bound to an open platform."""
        return self._person.unionid

    @property
    def number(self) -> str:
        """The bound phone number, without country code."""
        return self._person.number

    @property
    def session_key(self) -> str | None:
        """The session_key that is live at WeChat; None before the first login or once expired."""
        return self._person.session_key

    def login(self) -> str:
        """Call wx.login: return a new login code, which may replace the session_key at once."""
        with self._world.lock:
            if self._world.settings.login_replaces_session_key:
                self._person.session_key = new_session_key()
            return self._world.codes.issue_login(self._person).text

    def tap_phone_number(
        self,
        *,
        number: str | None = None,
        country_code: str | None = None,
        watermark_age: float = 0,
    ) -> PhoneTap:
        """Tap the phone-number button and allow it.

        Args:
            number: Another number that the person picks, without country code.
            country_code: Its country code, if not the person's own.
            watermark_age: Seconds by which the data's watermark lies in the past.
        """
        number = number or self._person.number
        country = country_code or self._person.country_code
        with self._world.lock:
            data: dict[str, object] = {
                "phoneNumber": number if country == _CHINA else f"+{country}{number}",
                "purePhoneNumber": number,
                "countryCode": country,
                "watermark": self._watermark(watermark_age),
            }
            as_number = self._world.settings.country_code_as_number
            phone_info = data | {"countryCode": int(country) if as_number else country}
            encrypted_data, iv = self.encrypt(data)
            self._world.open_data.remember_phone(self.appid, encrypted_data)
            self._world.billed.taps += 1
            code = self._world.codes.issue_phone(self._person, phone_info)
            return PhoneTap(code.text, encrypted_data, iv, self._cloud_id(data))

    def user_info(self, *, watermark_age: float = 0) -> UserInfo:
        """Call wx.getUserInfo; `watermark_age` seconds put its watermark into the past."""
        shown: dict[str, object] = {
            "nickName": self._person.nick_name,
            "gender": 1,
            "language": "zh_CN",
            "city": "Guangzhou",
            "province": "Guangdong",
            "country": "CN",
            "avatarUrl": "https://wx.qlogo.cn/mmopen/vi_32/simulated/0",
        }
        raw_data = to_json(shown)
        with self._world.lock:
            data: dict[str, object] = {"openId": self.openid, **shown}
            if self.unionid:
                data["unionId"] = self.unionid
            data["watermark"] = self._watermark(watermark_age)
            signature = raw_data_signature(raw_data, self._person.live_session_key())
            encrypted_data, iv = self.encrypt(data)
            return UserInfo(raw_data, signature, encrypted_data, iv, self._cloud_id(data))

    def encrypt(
        self,
        plaintext: Mapping[str, object] | bytes,
        session_key: str | None = None,
        *,
        vouched_for: bool = False,
    ) -> tuple[str, str]:
        """Encrypt anything as open data.

        Args:
            plaintext: A JSON object, or bytes as they are.
            session_key: Base64 of 16 bytes; the live one by default.
            vouched_for: Whether checkEncryptedData knows it.

        Returns:
            encryptedData and iv, both base64.
        """
        raw = plaintext if isinstance(plaintext, bytes) else to_json(plaintext).encode()
        with self._world.lock:
            encrypted = encrypt(session_key or self._person.live_session_key(), raw)
            if vouched_for:
                self._world.open_data.remember_phone(self.appid, encrypted[0])
            return encrypted

    def expire_session_key(self) -> None:
        """Let the session_key expire, as wx.checkSession would then report."""
        with self._world.lock:
            self._person.session_key = None

    def withdraw(self, revoke_info: str = "8") -> None:
        """Take back what the mini-program may know, in its settings; 8 is the phone number."""
        self._world.tell(self._person, "user_authorization_revoke", revoke_info)

    def close_account(self) -> None:
        """Close the WeChat account."""
        self._world.tell(self._person, "user_authorization_cancellation")

    def _watermark(self, age: float) -> dict[str, object]:
        return {"timestamp": int(self._world.clock.now() - age), "appid": self.appid}

    def _cloud_id(self, data: Mapping[str, object]) -> str | None:
        if not self._world.apps[self.appid].cloud:
            return None
        return self._world.open_data.issue_cloud_id(self.appid, self.openid, data)
