"""WeChat's server API: the eight calls this backend makes, one method each.

Source: WeChat mini-program server API (developers.weixin.qq.com, OpenApiDoc). Every reply is HTTP
200 with JSON, whatever its Content-Type; a failure has ``errcode`` ≠ 0.

A login or phone code works once, so no request is ever sent a second time after it may have
arrived. Nothing here puts a URL with its query, a secret, a token or a code into an error.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from wechat_auth import invocation
from wechat_auth.connections import Answer, Budget, Connections, TransportError
from wechat_auth.errors import (
    ADDRESS_REFUSED,
    KEY_NOT_LIVE,
    NOT_MADE_BY_WECHAT,
    WeChatError,
    WeChatUnavailableError,
)
from wechat_crypto import encrypted_data_hash, parse_wechat_json, session_signature

if TYPE_CHECKING:
    from wechat_auth.secured_calls import Envelope

CALL = Budget(total=5.0, connect=1.5, answer=2.5)
"""The seconds of a call: when less is left than its answer needs, a code would be spent in vain."""
SILENT_CALLS = 3
"""Calls in a row without an answer after which an environment asks no more for a while."""
SILENCE = 5.0
"""Seconds of this while."""
_LONGEST_LIFE = 7200
# The id of a failure: rid, or in older replies req_id.
_RID = re.compile(r"\brid: ?([0-9a-f]{1,16}-[0-9a-f]{1,16}-[0-9a-f]{1,16})|req_id: ?([\w-]{1,64})")
_IPV4 = re.compile(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b")
_IPV6 = re.compile(r"(?<![\w:])((?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4})(?![\w:])")


@dataclass(frozen=True, slots=True)
class Code2Session:
    """Who a login code stands for.

    Attributes:
        openid: The user, as this app knows them.
        session_key: Base64 of the key that the user's open data is encrypted with from now on.
        unionid: The user across the apps of one open-platform account, if bound to one.
    """

    openid: str = field(repr=False)
    session_key: str = field(repr=False)
    unionid: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access_token as WeChat issued it.

    Attributes:
        token: The text, up to 512 characters.
        expires_in: Seconds it lives, 7200 at most.
    """

    token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A user's phone number.

    Attributes:
        phone_number: With the country code if it is a foreign number.
        pure_phone_number: Without the country code.
        country_code: Digits, like ``86``.
        verified_at: When WeChat handed it out, by its watermark, in seconds since 1970.
    """

    phone_number: str = field(repr=False)
    pure_phone_number: str = field(repr=False)
    country_code: str
    verified_at: int | None = None


class WeChat:
    """WeChat's server API.

    When WeChat says nothing several times in a row, calls fail at once for some seconds: each that
    waited would hold a whole execution environment, and together all that the account may have.

    Args:
        base_urls: Where it is, like ``https://api.weixin.qq.com``. The next is tried only if
            nothing was sent to the one before.
        connections: The connections.
        budget: Seconds of a whole call, and of connecting to each of the names.
        clock: Gives the time in seconds, never going back.
    """

    def __init__(
        self,
        base_urls: Sequence[str],
        connections: Connections | None = None,
        *,
        budget: Budget = CALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_urls = [url.rstrip("/") for url in base_urls]
        self._connections = connections or Connections()
        self._budget = budget
        self._clock = clock
        self._silent_calls = 0
        self._silent_until = float("-inf")

    def connect(self) -> None:
        """Connect ahead of the first call; if that fails, the call will try again and say so."""
        self._connections.connect(self._base_urls[0], self._budget)

    def code2session(
        self, appid: str, secret: str, code: str, *, reserve: float = 0
    ) -> Code2Session:
        """Exchange a login code (wx.login) for the user behind it.

        Args:
            appid: The app in which wx.login ran.
            secret: Its AppSecret.
            code: What wx.login gave.
            reserve: Seconds of the invocation to leave for what must come after.

        Raises:
            WeChatError: WeChat refused; 40029 or 40163 mean the code.
            WeChatUnavailableError: No answer; the code may be spent.
        """
        query = {
            "appid": appid,
            "secret": secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        reply = self.ask("code2Session", "GET", "/sns/jscode2session", query, reserve=reserve)
        return user_of(reply, "code2Session")

    def stable_access_token(self, appid: str, secret: str, *, force: bool = False) -> AccessToken:
        """Get the app's access_token; the same one for every server until its last 5 minutes.

        Args:
            appid: The app.
            secret: Its AppSecret.
            force: Replace a living token, which expires at once. 20 a day; a second one within 30 s
                does nothing.

        Raises:
            WeChatError: WeChat refused; an operator's fault as a rule.
            WeChatUnavailableError: No answer; safe to repeat.
        """
        body = {
            "grant_type": "client_credential",
            "appid": appid,
            "secret": secret,
            "force_refresh": force,
        }
        reply = self.ask("getStableAccessToken", "POST", "/cgi-bin/stable_token", body=body)
        return token_of(reply, "getStableAccessToken")

    def classic_access_token(self, appid: str, secret: str) -> AccessToken:
        """Get a new access_token; it replaces the one before.

        Raises:
            WeChatError: WeChat refused; an operator's fault as a rule.
            WeChatUnavailableError: No answer.
        """
        query = {"grant_type": "client_credential", "appid": appid, "secret": secret}
        reply = self.ask("getAccessToken", "GET", "/cgi-bin/token", query)
        return token_of(reply, "getAccessToken")

    def phone_number(
        self,
        access_token: str,
        code: str,
        openid: str | None = None,
        envelope: "Envelope | None" = None,
        *,
        reserve: float = 0,
    ) -> PhoneNumber:
        """Exchange a phone code (getPhoneNumber button) for the number.

        Args:
            access_token: Of the app in which the user tapped.
            code: ``e.detail.code``; not the wx.login code.
            openid: Who is logged in, if anyone; WeChat then refuses another user's code.
            reserve: Seconds of the invocation to leave for what must come after.
            envelope: What the call is sealed in, if the app has API security.

        Raises:
            WeChatError: WeChat refused; 40029 means the code.
            WeChatUnavailableError: No answer; the code may be spent.
            AuthError: ``misconfigured``, from the envelope.
        """
        body = {"code": code} if openid is None else {"code": code, "openid": openid}
        reply = self.ask(
            "getPhoneNumber",
            "POST",
            "/wxa/business/getuserphonenumber",
            {"access_token": access_token},
            body,
            reserve=reserve,
            envelope=envelope,
        )
        info = reply.get("phone_info")
        if not isinstance(info, dict):
            raise WeChatUnavailableError("getPhoneNumber", "a reply without phone_info")
        number = text_of(info, "phoneNumber", "getPhoneNumber")
        pure = text_of(info, "purePhoneNumber", "getPhoneNumber")
        country = country_code(info.get("countryCode"), number, pure)
        if not country:
            raise WeChatUnavailableError("getPhoneNumber", "a reply without countryCode")
        return PhoneNumber(number, pure, country, watermark_time(info))

    def check_session_key(self, access_token: str, openid: str, session_key: str) -> bool:
        """Ask whether session_key is the user's live one.

        Raises:
            WeChatError: WeChat refused for another reason.
            WeChatUnavailableError: No answer; safe to repeat.
        """
        query = _signed(access_token, openid, session_key)
        try:
            self.ask("checkSessionKey", "GET", "/wxa/checksession", query)
        except WeChatError as error:
            if error.errcode in KEY_NOT_LIVE:
                return False
            raise
        return True

    def reset_user_session_key(self, access_token: str, openid: str, session_key: str) -> str:
        """Replace the user's live session_key, so that what was encrypted with it loses its worth.

        Returns:
            The new session_key; it expires when the old one would have.

        Raises:
            WeChatError: WeChat refused; 87007 or 87009 mean that session_key is not live.
            WeChatUnavailableError: No answer.
        """
        query = _signed(access_token, openid, session_key)
        reply = self.ask("resetUserSessionKey", "GET", "/wxa/resetusersessionkey", query)
        return text_of(reply, "session_key", "resetUserSessionKey")

    def check_encrypted_data(
        self, access_token: str, encrypted_data: str, envelope: "Envelope | None" = None
    ) -> bool:
        """Ask whether WeChat made this ciphertext of a phone number within the last 3 days.

        Args:
            access_token: Of the app in which it was made.
            encrypted_data: The ciphertext as the phone gave it.
            envelope: What the call is sealed in, if the app has API security.

        Raises:
            WeChatError: WeChat refused for another reason than that it did not.
            WeChatUnavailableError: No answer; safe to repeat.
            AuthError: ``misconfigured``, from the envelope.
        """
        try:
            reply = self.ask(
                "checkEncryptedData",
                "POST",
                "/wxa/business/checkencryptedmsg",
                {"access_token": access_token},
                {"encrypted_msg_hash": encrypted_data_hash(encrypted_data)},
                envelope=envelope,
            )
        except WeChatError as error:
            if error.errcode == NOT_MADE_BY_WECHAT:
                return False
            raise
        return reply.get("vaild") is True  # spelled so by WeChat

    def open_data(self, access_token: str, openid: str, cloud_id: str) -> dict[str, Any] | None:
        """Exchange a cloudID for the open data it stands for; needs no session_key.

        Returns:
            The data, ``watermark`` included, or ``None`` if WeChat does not accept the cloudID
            (expired, or another user's).

        Raises:
            WeChatError: WeChat refused the call.
            WeChatUnavailableError: No answer; safe to repeat.
        """
        reply = self.ask(
            "getOpenData",
            "POST",
            "/wxa/getopendata",
            {"access_token": access_token, "openid": openid},
            {"cloudid_list": [cloud_id]},
        )
        items = reply.get("data_list")
        item = items[0] if isinstance(items, list) and items else None
        content = item.get("json") if isinstance(item, dict) else None
        if isinstance(content, str):
            # A string in real life, an object in WeChat's sample.
            content = _parse(content)
        data = content.get("data") if isinstance(content, dict) else None
        return data if isinstance(data, dict) else None

    def ask(
        self,
        call: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        *,
        reserve: float = 0,
        envelope: "Envelope | None" = None,
    ) -> dict[str, Any]:
        """Make one call and judge the reply by its content.

        Args:
            call: WeChat's name of it.
            method: ``GET`` or ``POST``.
            path: Where it is.
            query: Its query.
            body: Its body.
            reserve: Seconds of the invocation to leave for what must come after.
            envelope: What it is sealed in, if the app has API security.

        Raises:
            WeChatError: ``errcode`` is there and not 0.
            WeChatUnavailableError: No JSON object came back in time.
        """
        started = self._clock()
        errcode = None
        try:
            # WeChat's own JSON may hold half a character: it goes back, and is refused there.
            encoded = urlencode(query or {}, errors="surrogatepass")
            target = f"{path}?{encoded}"
            ends = self._clock() + invocation.remaining(self._budget.total + reserve) - reserve
            if envelope is None:
                content = None if body is None else json.dumps(body).encode("ascii")
                headers = {} if content is None else {"Content-Type": "application/json"}
                urls = [base_url + target for base_url in self._base_urls]
                _, reply = self._send(call, method, urls, headers, content, ends)
            else:
                # The address is sealed too; nobody knows whether WeChat's other host has another.
                base_url = self._base_urls[0]
                send = partial(self._send, call, method, [base_url + target], ends=ends)
                parameters = {**(query or {}), **(body or {})}
                reply = envelope.exchange(call, base_url + path, parameters, send)
            errcode = reply.get("errcode", 0)
        finally:
            invocation.measure_ms("WeChatLatency", (self._clock() - started) * 1000)
            if errcode != 0:
                invocation.count("WeChatErrors")
        if errcode != 0:
            message = str(reply.get("errmsg", ""))
            rid = _RID.search(message)
            known = errcode if type(errcode) is int else -1
            address = None
            if known in ADDRESS_REFUSED:
                address = _IPV4.search(message) or _IPV6.search(message)
            raise WeChatError(
                call,
                known,
                rid and (rid[1] or rid[2]),
                address and address[1],
            )
        return reply

    def _send(
        self,
        call: str,
        method: str,
        urls: Sequence[str],
        headers: Mapping[str, str],
        content: bytes | None,
        ends: float,
    ) -> tuple[Answer, dict[str, Any]]:
        """Send a request to the first of the addresses that can be connected to."""
        if self._clock() < self._silent_until:
            raise WeChatUnavailableError(call, "silent a moment ago")
        failure = TransportError("no address", sent=False)
        for url in urls:
            budget = replace(self._budget, total=ends - self._clock())
            try:
                answer = self._connections.request(
                    method, url, budget=budget, headers=headers, body=content
                )
            except TransportError as error:
                failure = error
                # The request may have arrived, and a code in it may be spent: never send again.
                if error.sent:
                    break
            else:
                self._silent_calls = 0
                return answer, _read(call, answer)
        if failure.late:
            self._silent_calls += 1
            if self._silent_calls >= SILENT_CALLS:
                self._silent_until = self._clock() + SILENCE
        raise WeChatUnavailableError(call, failure.reason, sent=failure.sent)


def user_of(reply: Mapping[str, Any], call: str) -> Code2Session:
    """Read who a login code stands for."""
    return Code2Session(
        openid=text_of(reply, "openid", call),
        session_key=text_of(reply, "session_key", call),
        unionid=_optional_text(reply, "unionid"),
    )


def watermark_time(data: Mapping[str, Any]) -> int | None:
    """Return when WeChat handed data out, in seconds since 1970; ``None`` if it does not say."""
    watermark = data.get("watermark")
    timestamp = watermark.get("timestamp") if isinstance(watermark, dict) else None
    return timestamp if type(timestamp) is int else None


def _read(call: str, answer: Answer) -> dict[str, Any]:
    reply = _parse(answer.content)
    if answer.status != HTTPStatus.OK or reply is None:
        raise WeChatUnavailableError(call, f"HTTP {answer.status} without JSON", sent=True)
    return reply


def _parse(content: str | bytes) -> dict[str, Any] | None:
    try:
        document = parse_wechat_json(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def text_of(reply: Mapping[str, Any], name: str, call: str) -> str:
    """Read a text that must be in a reply.

    Raises:
        WeChatUnavailableError: It is not there: this is no answer of WeChat's.
    """
    value = reply.get(name)
    if not isinstance(value, str) or not value:
        raise WeChatUnavailableError(call, f"a reply without {name}")
    return value


def country_code(value: object, number: str, pure: str) -> str:
    """Read a country code, which is a string in WeChat's table and a number in WeChat's sample.

    Args:
        value: What WeChat gave; if null, the numbers tell it.
        number: ``phoneNumber``: with the country code if it is a foreign number.
        pure: ``purePhoneNumber``: without it.

    Returns:
        The code, or ``""`` if there is none.
    """
    if value is None and pure and number.endswith(pure):
        return number.removesuffix(pure).lstrip("+") or "86"
    return str(value) if type(value) is int else value if isinstance(value, str) else ""


def _optional_text(reply: Mapping[str, Any], name: str) -> str | None:
    value = reply.get(name)
    return value if isinstance(value, str) and value else None


def token_of(reply: Mapping[str, Any], call: str, name: str = "access_token") -> AccessToken:
    """Read a token, and how long it lives.

    Raises:
        WeChatUnavailableError: They are not there: this is no answer of WeChat's.
    """
    expires_in = reply.get("expires_in")
    if isinstance(expires_in, bool) or not isinstance(expires_in, int) or expires_in <= 0:
        raise WeChatUnavailableError(call, "a reply without expires_in")
    return AccessToken(text_of(reply, name, call), min(expires_in, _LONGEST_LIFE))


def _signed(access_token: str, openid: str, session_key: str) -> dict[str, str]:
    return {
        "access_token": access_token,
        "openid": openid,
        "signature": session_signature(session_key),
        "sig_method": "hmac_sha256",
    }
