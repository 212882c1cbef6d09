"""The calls of a third-party platform, one method each; they go out as all calls of WeChat's do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wechat_auth.errors import WeChatUnavailableError
from wechat_auth.wechat import AccessToken, Code2Session, WeChat, text_of, token_of, user_of

_PAGE = 500
"""Entries of one page of getAuthorizerList, at most."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a merchant has authorised.

    Attributes:
        appid: The merchant's mini-program.
        refresh_token: What its access_tokens are got with, for as long as the authorisation lasts.
        permissions: The permission sets that were granted.
    """

    appid: str
    refresh_token: str = field(repr=False)
    permissions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Listed:
    """A merchant as getAuthorizerList has it.

    Attributes:
        appid: The merchant's mini-program.
        refresh_token: Its refresh token; ``None`` if the authorisation was never taken up.
        authorized_at: When it authorised the platform, in seconds since 1970.
    """

    appid: str
    refresh_token: str | None = field(repr=False)
    authorized_at: int


class PlatformCalls:
    """The platform's calls. Each raises WeChatError if WeChat refuses, WeChatUnavailableError if
    no answer came.

    Args:
        wechat: Makes them.
        appid: The platform's own appid (component_appid).
    """  # noqa: D205 - one rule for all

    def __init__(self, wechat: WeChat, appid: str) -> None:
        self._wechat = wechat
        self._appid = appid

    def component_access_token(self, secret: str, ticket: str) -> AccessToken:
        """Get a component_access_token; the one before works 5 minutes more."""
        body = {"component_appsecret": secret, "component_verify_ticket": ticket}
        reply = self._post("getComponentAccessToken", "api_component_token", None, body)
        return token_of(reply, "getComponentAccessToken", "component_access_token")

    def start_push_ticket(self, secret: str) -> None:
        """Have WeChat push tickets again, if it has stopped."""
        body = {"component_secret": secret}
        self._post("startPushTicket", "api_start_push_ticket", None, body)

    def authorizer_access_token(
        self, token: str, appid: str, refresh_token: str
    ) -> tuple[AccessToken, str]:
        """Get a merchant's access_token, and the refresh token to use from now on."""
        call = "getAuthorizerAccessToken"
        body = {"authorizer_appid": appid, "authorizer_refresh_token": refresh_token}
        reply = self._post(call, "api_authorizer_token", token, body)
        issued = token_of(reply, call, "authorizer_access_token")
        return issued, text_of(reply, "authorizer_refresh_token", call)

    def authorization(self, token: str, code: str) -> Authorization:
        """Exchange an authorisation code (api_query_auth), once."""
        call = "getAuthorizerRefreshToken"
        reply = self._post(call, "api_query_auth", token, {"authorization_code": code})
        info = reply.get("authorization_info")
        if not isinstance(info, dict):
            raise WeChatUnavailableError(call, "a reply without authorization_info")
        return Authorization(
            text_of(info, "authorizer_appid", call),
            text_of(info, "authorizer_refresh_token", call),
            _permissions(info),
        )

    def pre_auth_code(self, token: str) -> tuple[str, int]:
        """Get a code for one authorisation link, and the seconds that it lives."""
        reply = self._post("getPreAuthCode", "api_create_preauthcode", token, {})
        issued = token_of(reply, "getPreAuthCode", "pre_auth_code")
        return issued.token, issued.expires_in

    def merchants(self, token: str) -> Iterator[Listed]:
        """List all who have authorised the platform (api_get_authorizer_list), page by page."""
        offset, total = 0, 1
        while offset < total:
            body = {"offset": offset, "count": _PAGE}
            reply = self._post("getAuthorizerList", "api_get_authorizer_list", token, body)
            entries, count = reply.get("list"), reply.get("total_count")
            if not isinstance(entries, list) or not isinstance(count, int):
                raise WeChatUnavailableError("getAuthorizerList", "a reply without list")
            if not entries:
                return
            total = count
            yield from (_listed(entry) for entry in entries)
            offset += len(entries)

    def code2session(self, token: str, appid: str, code: str, *, reserve: float) -> Code2Session:
        """Exchange a login code of a merchant's user.

        Args:
            token: The component_access_token.
            appid: The merchant's mini-program.
            code: What wx.login gave.
            reserve: Seconds of the invocation to leave for what must come after.
        """
        query = {
            "appid": appid,
            "js_code": code,
            "grant_type": "authorization_code",
            "component_appid": self._appid,
            "component_access_token": token,
        }
        call = "thirdpartyCode2Session"
        reply = self._wechat.ask(
            call, "GET", "/sns/component/jscode2session", query, reserve=reserve
        )
        return user_of(reply, call)

    def _post(
        self, call: str, name: str, token: str | None, body: Mapping[str, object]
    ) -> dict[str, Any]:
        # The older of the two names of the parameter: every platform in use sends it.
        query = {} if token is None else {"component_access_token": token}
        body = {"component_appid": self._appid, **body}
        return self._wechat.ask(call, "POST", f"/cgi-bin/component/{name}", query, body)


def _permissions(info: Mapping[str, Any]) -> frozenset[int]:
    granted = info.get("func_info")
    categories = [
        each.get("funcscope_category")
        for each in (granted if isinstance(granted, list) else [])
        if isinstance(each, dict)
    ]
    numbers = (each.get("id") for each in categories if isinstance(each, dict))
    return frozenset(number for number in numbers if type(number) is int)


def _listed(entry: object) -> Listed:
    fields = entry if isinstance(entry, dict) else {}
    refresh_token, authorized_at = fields.get("refresh_token"), fields.get("auth_time")
    return Listed(
        text_of(fields, "authorizer_appid", "getAuthorizerList"),
        refresh_token if isinstance(refresh_token, str) and refresh_token else None,
        authorized_at if type(authorized_at) is int else 0,
    )
