"""The calls of a third-party platform, and what WeChat answers to each.

Source: developers.weixin.qq.com/doc/oplatform, third-party platforms. What a call says to a token
of a merchant that has withdrawn its authorisation is not published: 61003, inferred.
"""

from collections.abc import Mapping
from typing import Final

from .errors import WeChatError
from .platform import PHONE_NUMBERS, ThirdPartyPlatform
from .request import Request
from .world import World

Reply = dict[str, object]

PRE_AUTH_CODE_LIFE: Final = 1800
_PAGE: Final = 500


def component_access_token(world: World, request: Request) -> Reply:
    """Answer a new component_access_token for a ticket; the last one works five more minutes."""
    body = request.json()
    platform = _platform(world, request, body)
    if body.get("component_appsecret") != platform.secret:
        raise WeChatError(40125)
    platform.check_ticket(str(body.get("component_verify_ticket", "")))
    token, expires_in = world.tokens.replace("component", platform.appid)
    return {"component_access_token": token, "expires_in": expires_in}


def start_push_ticket(world: World, request: Request) -> Reply:
    """Push tickets again."""
    body = request.json()
    platform = _platform(world, request, body)
    if body.get("component_secret") != platform.secret:
        raise WeChatError(40125)
    said = "in a normal state" if platform.pushing else "ok"
    platform.pushing = True
    return {"errcode": 0, "errmsg": said}


def pre_auth_code(world: World, request: Request) -> Reply:
    """Answer a code for one authorisation link."""
    code = _component(world, request).issue("preauthcode")
    return {"pre_auth_code": code, "expires_in": PRE_AUTH_CODE_LIFE}


def query_auth(world: World, request: Request) -> Reply:
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


def authorizer_access_token(world: World, request: Request) -> Reply:
    """Answer a new access_token of a merchant's, and the refresh token to keep."""
    platform = _component(world, request)
    body = request.json()
    authorization = platform.authorization(str(body.get("authorizer_appid")))
    if body.get("authorizer_refresh_token") != authorization.refresh_token:
        raise WeChatError(61023)
    if platform.rotates:
        authorization.refresh_token = platform.issue("refreshtoken")
    token, expires_in = world.tokens.replace("authorizer", authorization.appid)
    return {
        "authorizer_access_token": token,
        "expires_in": expires_in,
        "authorizer_refresh_token": authorization.refresh_token,
    }


def authorizer_list(world: World, request: Request) -> Reply:
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


def code2session(world: World, request: Request) -> Reply:
    """Exchange a login code of a merchant's user."""
    appid = request.parameter("appid", missing=41002)
    text = request.parameter("js_code", missing=41008)
    platform = _component(world, request, request.parameter("component_appid", missing=41018))
    if request.query.get("grant_type") != "authorization_code":
        raise WeChatError(40002)
    platform.authorization(appid)
    world.quotas.count("thirdpartyCode2Session", appid)
    return world.exchange_login_code(appid, text)


def check_permission(world: World, appid: str, token: str) -> None:
    """Refuse a call with a token of the platform's, or of a merchant that may not make it."""
    if world.platform is None:
        return
    if appid == world.platform.appid:
        raise WeChatError(61015)
    if world.tokens.kind_of(token) == "authorizer":
        authorization = world.platform.authorization(appid)
        if PHONE_NUMBERS not in world.platform.permissions:
            raise WeChatError(61017)
        if not authorization.confirmed:
            raise WeChatError(61016)
        if PHONE_NUMBERS not in authorization.permissions:
            raise WeChatError(61007)


def _platform(world: World, request: Request, fields: Mapping[str, object]) -> ThirdPartyPlatform:
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


def _component(world: World, request: Request, appid: str | None = None) -> ThirdPartyPlatform:
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
