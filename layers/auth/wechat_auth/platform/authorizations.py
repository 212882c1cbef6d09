"""What a third-party platform does when merchants authorise it, and what its schedule looks after.

Events come late, repeated and in any order: the CreateTime of the newest that was heeded stands in
the merchant's item, and an older one changes nothing.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from wechat_auth import invocation
from wechat_auth.errors import (
    APP_SECRET_REFUSED,
    AUTHORISE_AGAIN,
    AUTHORIZATION_CODE_SPENT,
    AuthError,
    WeChatError,
    misconfigured,
)
from wechat_auth.platform.platform import Platform
from wechat_auth.platform.table import Merchant
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import StorageError
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.tokens.table import TokenTable

PHONE_NUMBERS = 18
"""The permission set that getPhoneNumber, the session_key calls and open data take."""
STALE_TICKET = 3600.0
"""Seconds after which a ticket is taken for the last one, and pushes are restarted."""
_MINI_PROGRAMS = 2  # auth_type
_ASK_EVERY = 600.0  # seconds: WeChat pushes that often
_LIST_EVERY = 3600.0
_LIST_AGAIN = 300.0  # if that failed, as with an address that WeChat does not know yet
_RENEW_AGAIN = 3600.0  # for a merchant whose withdrawal never came


def act_on(event: Mapping[str, Any], *, platform: Platform, tokens: TokenTable) -> None:
    """Do what an event of the queue asks for; doing it again changes nothing.

    Args:
        event: ``appid`` of the merchant, ``at`` (CreateTime) and, unless it has withdrawn its
            authorisation, ``code``.
        platform: The platform.
        tokens: Where the merchant's access_token is.

    Raises:
        AuthError: The event must come again, or the merchant must authorise the platform again.
    """
    appid, at = event["appid"], event["at"]
    if "code" in event:
        done = authorize(platform, appid, event["code"], at)
    else:
        done = withdraw(platform, tokens, appid, at)
    what = "authorized" if "code" in event else "unauthorized"
    invocation.logger.info("platform event", extra={"event": what, "appid": appid, "done": done})


def authorize(platform: Platform, appid: str, code: str, created_at: int) -> bool:
    """Take up an authorisation: exchange its code once, and store the refresh token.

    Args:
        platform: The platform.
        appid: The merchant's mini-program (AuthorizerAppid).
        code: The AuthorizationCode of the event.
        created_at: The CreateTime of the event.

    Returns:
        Whether this call did it; else it was done, or something newer is known.

    Raises:
        AuthError: It can be tried again later, or the merchant must authorise the platform again.
    """
    match platform.table.begin(appid, created_at):
        case "done":
            return False
        case "busy":
            raise StorageError("the same authorisation is being taken up")
    try:
        granted = platform.using(lambda token: platform.calls.authorization(token, code))
    except WeChatError as error:
        if error.errcode in AUTHORIZATION_CODE_SPENT and _listed(platform, appid, created_at):
            return True  # the code was used by one who died before it could store what came
        raise
    if granted.appid != appid:
        raise misconfigured(
            "an authorisation code was another mini-program's: report this as a bug"
        )
    if PHONE_NUMBERS not in granted.permissions:
        invocation.log_fault(
            misconfigured(
                f"{appid} has authorised the platform without permission set {PHONE_NUMBERS}, "
                "without which there are no phone numbers: send its owner the link that make "
                "authorise prints, and have them leave it ticked"
            )
        )
    kept = platform.table.authorize(appid, granted.refresh_token, granted.permissions, created_at)
    invocation.count("MerchantsAuthorized")
    return kept


def withdraw(platform: Platform, tokens: TokenTable, appid: str, created_at: int) -> bool:
    """Forget a merchant that has withdrawn its authorisation, and its access_token.

    Args:
        platform: The platform.
        tokens: Where its access_token is.
        appid: The merchant's mini-program (AuthorizerAppid).
        created_at: The CreateTime of the event.

    Returns:
        Whether it is forgotten; ``False`` if it has authorised the platform again since.
    """
    if not platform.table.withdraw(appid, created_at):
        return False
    tokens.forget(appid)
    invocation.count("MerchantsWithdrawn")
    return True


def links(platform: Platform, page: str) -> dict[str, object]:
    """Make links by which one merchant can authorise the platform, with a fresh pre-auth code.

    Args:
        platform: The platform.
        page: Where WeChat leads its administrator afterwards: on the host that is entered for
            authorisations, where the link must stand, too.

    Returns:
        ``desktop`` (shows a QR code), ``wechat`` (to be opened there), and ``expiresIn`` seconds.
    """
    code, expires_in = platform.using(platform.calls.pre_auth_code)
    query = urlencode(
        {
            "component_appid": platform.appid,
            "pre_auth_code": code,
            "redirect_uri": page,
            "auth_type": _MINI_PROGRAMS,
        }
    )
    in_wechat = f"action=bindcomponent&no_scan=1&{query}"
    return {
        "desktop": f"https://mp.weixin.qq.com/cgi-bin/componentloginpage?{query}",
        "wechat": f"https://open.weixin.qq.com/wxaopen/safe/bindcomponent?{in_wechat}#wechat_redirect",
        "expiresIn": expires_in,
    }


def known(platform: Platform) -> list[dict[str, object]]:
    """Say who authorises the platform, since when, and what; ``None`` if that is not known."""
    return [
        {
            "appid": merchant.appid,
            "since": merchant.changed_at,
            "permissions": None if merchant.permissions is None else sorted(merchant.permissions),
        }
        for merchant in platform.table.merchants()
    ]


def look_after(
    platform: Platform,
    access_tokens: AccessTokens,
    secrets: SecretStore,
    *,
    clock: Callable[[], float] = time.time,
) -> dict[str, str]:
    """Do what the schedule does: restart pushes that have stopped, list and renew the merchants.

    The list brings back what was lost, and the merchants that authorised the platform before it
    came here: a merchant that is not listed is not forgotten, which only its event can bring about.

    Returns:
        What was done, by name or merchant, or the code of the error that it met.
    """
    outcome: dict[str, str] = {}
    ticket = platform.table.ticket()
    if ticket is None or clock() > ticket.created_at + STALE_TICKET:
        outcome["pushes"] = _outcome(lambda: _restart_pushes(platform, secrets))
    if ticket is not None:
        outcome["merchants"] = _outcome(lambda: _list_merchants(platform))
    for merchant in platform.table.merchants(seal_again=True):
        if clock() >= merchant.failed_at + _RENEW_AGAIN:
            outcome[merchant.appid] = _outcome(partial(_renew, platform, access_tokens, merchant))
    return {name: what for name, what in outcome.items() if what}


def _renew(platform: Platform, access_tokens: AccessTokens, merchant: Merchant) -> str:
    try:
        return "renewed" if access_tokens.renew(merchant.appid) else ""
    except AuthError as error:
        if error.errcode in AUTHORISE_AGAIN:
            platform.table.failed(merchant)
        raise


def _restart_pushes(platform: Platform, secrets: SecretStore) -> str:
    if not platform.table.is_time("asked_at", _ASK_EVERY):
        return ""
    invocation.count("TicketPushesRestarted")
    try:
        platform.calls.start_push_ticket(secrets.app_secret(platform.appid))
    except WeChatError as error:
        if error.errcode in APP_SECRET_REFUSED:
            secrets.app_secret_refused()
        raise
    return "restarted"


def _list_merchants(platform: Platform) -> str:
    if not platform.table.is_time("listed_at", _LIST_EVERY, again=_LIST_AGAIN):
        return ""
    found = 0
    for listed in platform.using(lambda token: list(platform.calls.merchants(token))):
        if listed.refresh_token:
            found += platform.table.authorize(
                listed.appid, listed.refresh_token, None, listed.authorized_at
            )
    platform.table.done("listed_at")
    return f"{found} found"


def _listed(platform: Platform, appid: str, created_at: int) -> bool:
    """Take up an authorisation from WeChat's list; ``False`` if it is not there."""
    listed = platform.listed(appid)
    if listed is None or not listed.refresh_token:
        return False
    return platform.table.authorize(appid, listed.refresh_token, None, created_at)


def _outcome(do: Callable[[], str]) -> str:
    try:
        return do()
    except AuthError as error:
        invocation.log_fault(error)
        return error.problem.code
