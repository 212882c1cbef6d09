"""A third-party platform (第三方平台): its tickets, its tokens, and who has authorised it.

Source: developers.weixin.qq.com/doc/oplatform, third-party platforms. What a call says to a token
of a merchant that has withdrawn its authorisation is not published: 61003, inferred.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .errors import WeChatError
from .message_push import MessagePush, Pushed
from .people import new_session_key
from .request import Request

if TYPE_CHECKING:
    from .clock import Clock
    from .world import World

Reply = dict[str, object]

TICKET_LIFE: Final = 12 * 3600
CODE_LIFE: Final = 3600
PRE_AUTH_CODE_LIFE: Final = 1800
PHONE_NUMBERS: Final = 18
_PAGE: Final = 500


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
    """

    appid: str
    code: str = field(repr=False)
    code_expires_at: float
    permissions: tuple[int, ...]
    authorized_at: int
    refresh_token: str = field(repr=False)
    taken_up: bool = False


class ThirdPartyPlatform:
    """The page of a platform in open.weixin.qq.com, and what WeChat knows of it.

    Args:
        appid: Its appid (component_appid).
        clock: WeChat's.

    Attributes:
        appid: As given.
        secret: Its AppSecret.
        push: Its Token and EncodingAESKey; it is always XML in safe mode.
        addresses: Addresses that may call for it; empty admits all.
        pushing: Whether tickets are pushed; `api_start_push_ticket` sets it.
        rotates: Whether each refresh of a merchant's token changes its refresh token too.
        authorizations: Who has authorised it, by appid.
    """

    def __init__(self, appid: str, clock: "Clock") -> None:
        self.appid = appid
        self.secret = secrets.token_hex(16)
        self.push = MessagePush(appid, clock)
        self.push.xml = True
        self.addresses: tuple[str, ...] = ()
        self.pushing = True
        self.rotates = False
        self.authorizations: dict[str, Authorization] = {}
        self._clock = clock
        self._tickets: dict[str, float] = {}

    # What is pushed

    def ticket(self, *, age: float = 0) -> Pushed:
        """Make a ticket, so many seconds ago, and return its push."""
        text = f"ticket@@@{secrets.token_urlsafe(48)}"
        self._tickets[text] = self._clock.now() - age
        return self._info("component_verify_ticket", age, ComponentVerifyTicket=text)

    def authorize(
        self, appid: str, permissions: Iterable[int] = (PHONE_NUMBERS,), *, age: float = 0
    ) -> Pushed:
        """Let a merchant authorise the platform, so many seconds ago, and return the event."""
        known = appid in self.authorizations
        now = self._clock.now() - age
        code = f"queryauthcode@@@{secrets.token_urlsafe(32)}"
        self.authorizations[appid] = Authorization(
            appid, code, now + CODE_LIFE, tuple(permissions), int(now), _refresh_token()
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


def component_access_token(world: "World", request: Request) -> Reply:
    """Answer a new component_access_token for a ticket; the last one works five more minutes."""
    body = request.json()
    platform = _platform(world, request, body)
    if body.get("component_appsecret") != platform.secret:
        raise WeChatError(40125)
    platform.check_ticket(str(body.get("component_verify_ticket", "")))
    token, expires_in = world.tokens.replace("component", platform.appid)
    return {"component_access_token": token, "expires_in": expires_in}


def start_push_ticket(world: "World", request: Request) -> Reply:
    """Push tickets again."""
    body = request.json()
    platform = _platform(world, request, body)
    if body.get("component_secret") != platform.secret:
        raise WeChatError(40125)
    said = "in a normal state" if platform.pushing else "ok"
    platform.pushing = True
    return {"errcode": 0, "errmsg": said}


def pre_auth_code(world: "World", request: Request) -> Reply:
    """Answer a code for one authorisation link."""
    _component(world, request)
    code = f"preauthcode@@@{secrets.token_urlsafe(32)}"
    return {"pre_auth_code": code, "expires_in": PRE_AUTH_CODE_LIFE}


def query_auth(world: "World", request: Request) -> Reply:
    """Exchange an authorisation code, once."""
    platform = _component(world, request)
    code = request.json().get("authorization_code")
    for authorization in platform.authorizations.values():
        if authorization.code == code and not authorization.taken_up:
            break
    else:
        raise WeChatError(61009)
    if world.clock.now() >= authorization.code_expires_at:
        raise WeChatError(61010)
    authorization.taken_up = True
    token, expires_in = world.tokens.replace("authorizer", authorization.appid)
    return {
        "authorization_info": {
            "authorizer_appid": authorization.appid,
            "authorizer_access_token": token,
            "expires_in": expires_in,
            "authorizer_refresh_token": authorization.refresh_token,
            "func_info": [
                {"funcscope_category": {"id": each}} for each in authorization.permissions
            ],
        }
    }


def authorizer_access_token(world: "World", request: Request) -> Reply:
    """Answer a new access_token of a merchant's, and the refresh token to keep."""
    platform = _component(world, request)
    body = request.json()
    authorization = platform.authorization(str(body.get("authorizer_appid")))
    if body.get("authorizer_refresh_token") != authorization.refresh_token:
        raise WeChatError(61023)
    if platform.rotates:
        authorization.refresh_token = _refresh_token()
    token, expires_in = world.tokens.replace("authorizer", authorization.appid)
    return {
        "authorizer_access_token": token,
        "expires_in": expires_in,
        "authorizer_refresh_token": authorization.refresh_token,
    }


def authorizer_list(world: "World", request: Request) -> Reply:
    """List who has authorised the platform; without refresh token who was not taken up yet."""
    platform = _component(world, request)
    body = request.json()
    offset, count = body.get("offset"), body.get("count")
    if not isinstance(offset, int) or not isinstance(count, int):
        raise WeChatError(47001)
    if count > _PAGE:
        raise WeChatError(40170)
    every = list(platform.authorizations.values())
    return {
        "total_count": len(every),
        "list": [
            {"authorizer_appid": each.appid, "auth_time": each.authorized_at}
            | ({"refresh_token": each.refresh_token} if each.taken_up else {})
            for each in every[offset : offset + count]
        ],
    }


def code2session(world: "World", request: Request) -> Reply:
    """Exchange a login code of a merchant's user."""
    appid = request.parameter("appid", missing=41002)
    text = request.parameter("js_code", missing=41008)
    platform = _component(world, request, request.parameter("component_appid", missing=41018))
    if request.query.get("grant_type") != "authorization_code":
        raise WeChatError(40002)
    platform.authorization(appid)
    world.quotas.count("thirdpartyCode2Session", appid)
    code = world.codes.find("login", text)
    person = code.person
    if person.appid != appid:
        raise WeChatError(40029)
    if code.used:
        raise WeChatError(40163)
    code.used = True
    if not world.settings.login_replaces_session_key:
        person.session_key = new_session_key()
    reply: Reply = {"session_key": person.live_session_key(), "openid": person.openid}
    return reply | ({"unionid": person.unionid} if person.unionid else {})


def check_permission(world: "World", appid: str, token: str) -> None:
    """Refuse a call with a token of the platform's, or of a merchant that may not make it."""
    if world.platform is None:
        return
    if appid == world.platform.appid:
        raise WeChatError(61015)
    if world.tokens.kind_of(token) == "authorizer":
        granted = world.platform.authorization(appid).permissions
        if PHONE_NUMBERS not in granted:
            raise WeChatError(61007)


def _platform(world: "World", request: Request, fields: Mapping[str, object]) -> ThirdPartyPlatform:
    """Return the platform that calls, if it is one and calls from where it may."""
    platform = world.platform
    appid = fields.get("component_appid")
    if not appid:
        raise WeChatError(41018)
    if platform is None or appid != platform.appid:
        raise WeChatError(61011)
    if platform.addresses and request.ip not in platform.addresses:
        raise WeChatError(61004, f"access clientip is not registered, requestIP: {request.ip}")
    return platform


def _component(world: "World", request: Request, appid: str | None = None) -> ThirdPartyPlatform:
    """Return the platform that calls with a component_access_token."""
    fields = request.json() if appid is None else {"component_appid": appid}
    platform = _platform(world, request, fields)
    token = request.query.get("component_access_token") or request.parameter(
        "access_token", missing=41001
    )
    owner = world.tokens.owner(token)
    if owner != platform.appid:
        raise WeChatError(61014)
    return platform


def _refresh_token() -> str:
    return f"refreshtoken@@@{secrets.token_urlsafe(32)}"
