"""A third-party platform (第三方平台): its tickets, its tokens, and who has authorised it.

Source: developers.weixin.qq.com/doc/oplatform, third-party platforms.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from .clock import Clock
from .errors import WeChatError
from .message_push import MessagePush, Pushed

TICKET_LIFE: Final = 12 * 3600
TICKET_EVERY: Final = 600
CODE_LIFE: Final = 3600
PHONE_NUMBERS: Final = 18

Issued = Literal["ticket", "queryauthcode", "refreshtoken", "preauthcode"]
"""What a platform is given, by the word that it begins with."""


@dataclass(slots=True)
class Authorization:
    """What a merchant has authorised.

    Attributes:
        appid: Its mini-program.
        code: The authorisation code.
        code_expires_at: Until when it can be exchanged.
        permissions: The permission sets that were granted.
        authorized_at: When.
        refresh_token: The refresh token.
        taken_up: Whether the code was exchanged.
        confirmed: Whether the merchant has confirmed the sets that the platform took up since.
    """

    appid: str
    code: str = field(repr=False)
    code_expires_at: float
    permissions: tuple[int, ...]
    authorized_at: int
    refresh_token: str = field(repr=False)
    taken_up: bool = False
    confirmed: bool = True


class ThirdPartyPlatform:
    """The page of a platform in open.weixin.qq.com, and what WeChat knows of it.

    Args:
        appid: Its appid (component_appid).
        clock: WeChat's.

    Attributes:
        appid: As given.
        secret: Its AppSecret.
        push: Its Token and EncodingAESKey, and the URL for authorisation events (授权事件接收 URL);
            it is always XML in safe mode.
        message_url: The URL for messages of its merchants, with ``$APPID$`` for the appid; empty
            until it is saved.
        addresses: Addresses that may call for it; empty admits all.
        pushing: Whether tickets are pushed; `api_start_push_ticket` sets it.
        rotates: Whether each refresh of a merchant's token changes its refresh token too.
        permissions: The sets that the platform itself has, so that a merchant can grant them.
        authorizations: Who has authorised it, by appid.
        issued: Every ticket, code and refresh token that was ever made, and which of them it is.
    """

    def __init__(self, appid: str, clock: Clock) -> None:
        self.appid = appid
        self.secret = secrets.token_hex(16)
        self.push = MessagePush(appid, clock)
        self.push.xml = True
        self.message_url = ""
        self.addresses: tuple[str, ...] = ()
        self.pushing = True
        self.rotates = False
        self.permissions = {PHONE_NUMBERS}
        self.authorizations: dict[str, Authorization] = {}
        self.issued: dict[str, Issued] = {}
        self._clock = clock
        self._tickets: dict[str, float] = {}
        self._next_ticket_at = 0.0

    # What is pushed

    def due_ticket(self) -> Pushed | None:
        """Return the push of a new ticket, if it is time and pushes have not stopped."""
        now = self._clock.now()
        if not self.pushing or not self.push.url or now < self._next_ticket_at:
            return None
        self._next_ticket_at = now + TICKET_EVERY
        return self.ticket()

    def ticket(self, *, age: float = 0) -> Pushed:
        """Make a ticket, so many seconds ago, and return its push."""
        text = self.issue("ticket")
        self._tickets[text] = self._clock.now() - age
        return self._info("component_verify_ticket", age, ComponentVerifyTicket=text)

    @property
    def newest_ticket(self) -> str:
        """The ticket that was made last."""
        return next(reversed(self._tickets))

    def authorize(
        self, appid: str, permissions: Iterable[int] = (PHONE_NUMBERS,), *, age: float = 0
    ) -> Pushed:
        """Let a merchant authorise the platform, so many seconds ago, and return the event."""
        known = appid in self.authorizations
        now = self._clock.now() - age
        code, refresh_token = self.issue("queryauthcode"), self.issue("refreshtoken")
        self.authorizations[appid] = Authorization(
            appid, code, now + CODE_LIFE, tuple(permissions), int(now), refresh_token
        )
        return self._info(
            "updateauthorized" if known else "authorized",
            age,
            AuthorizerAppid=appid,
            AuthorizationCode=code,
            AuthorizationCodeExpiredTime=str(int(now + CODE_LIFE)),
            PreAuthCode="preauthcode@@@simulated",
        )

    def withdraw(self, appid: str, *, age: float = 0) -> Pushed:
        """Let a merchant withdraw its authorisation, so many seconds ago, and return the event."""
        self.authorizations.pop(appid, None)
        return self._info("unauthorized", age, AuthorizerAppid=appid)

    def _info(self, kind: str, age: float, **more: str) -> Pushed:
        created = int(self._clock.now() - age)
        return self.push.seal(
            {"AppId": self.appid, "CreateTime": created, "InfoType": kind, **more}
        )

    # What its calls check

    def check_ticket(self, ticket: str) -> None:
        """Refuse a ticket that was never made (61006) or is too old (61005)."""
        made_at = self._tickets.get(ticket)
        if made_at is None:
            raise WeChatError(61006)
        if self._clock.now() >= made_at + TICKET_LIFE:
            raise WeChatError(61005)

    def authorization(self, appid: str) -> Authorization:
        """Return what a merchant has authorised, or raise WeChatError 61003."""
        try:
            return self.authorizations[appid]
        except KeyError:
            raise WeChatError(61003) from None

    def issue(self, what: Issued) -> str:
        """Make a ticket, code or refresh token that was never given out."""
        text = f"{what}@@@{secrets.token_urlsafe(48)}"
        self.issued[text] = what
        return text
