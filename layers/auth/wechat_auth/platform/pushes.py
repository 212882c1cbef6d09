"""What WeChat pushes to a third-party platform: tickets, authorisations, merchants' messages."""

import re
from collections.abc import Mapping
from typing import Any

from wechat_auth import invocation
from wechat_auth.platform.table import PlatformTable
from wechat_auth.pushes import SUCCESS, hand_on, opened
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Queue

AUTHORIZATIONS = frozenset({"authorized", "updateauthorized", "unauthorized"})
"""InfoTypes of what a merchant does; the first two carry an authorisation code."""
_APPID = re.compile(r"wx[0-9a-f]{16}")
_TICKET = re.compile(r"[!-~]+")
_TIME = re.compile(r"\d{1,12}", re.ASCII)


def receive(  # noqa: PLR0913 - each collaborator is named
    platform: str,
    merchant: str | None,
    body: bytes,
    query: Mapping[str, str],
    *,
    table: PlatformTable,
    secrets: SecretStore,
    user_events: Queue,
    platform_events: Queue,
    now: float,
) -> str | None:
    """Open a push to the platform; keep a ticket, and hand on what else it says.

    Args:
        platform: The platform's appid, whose keys seal its merchants' messages too.
        merchant: The merchant's appid if it came by the URL for messages and events.
        body: The request's.
        query: The request's.
        table: Where a ticket is kept.
        secrets: For the platform's keys.
        user_events: Takes what is about a user of a merchant's.
        platform_events: Takes what a merchant authorises or withdraws.
        now: The time.

    Returns:
        What to answer, or ``None`` if it is not WeChat's to this platform.

    Raises:
        AuthError: ``misconfigured`` or ``storage_unavailable``: WeChat is to send it again.
    """
    if merchant is not None and not _APPID.fullmatch(merchant):
        return None
    message = opened(platform, body, query, secrets=secrets)
    if message is None:
        return None
    if merchant is not None:
        return hand_on(merchant, message, user_events=user_events, now=now)
    if message.get("AppId") != platform:
        return None
    _heed(message, table, platform_events)
    return SUCCESS


def _heed(message: Mapping[str, Any], table: PlatformTable, platform_events: Queue) -> None:
    kind, created = message.get("InfoType"), str(message.get("CreateTime", ""))
    created_at = int(created) if _TIME.fullmatch(created) else 0
    ticket = message.get("ComponentVerifyTicket")
    appid, code = message.get("AuthorizerAppid"), message.get("AuthorizationCode")
    if kind == "component_verify_ticket" and isinstance(ticket, str) and _TICKET.fullmatch(ticket):
        if table.keep_ticket(ticket, created_at):
            invocation.count("Tickets")
    elif kind in AUTHORIZATIONS and isinstance(appid, str) and _APPID.fullmatch(appid):
        withdrawn = kind == "unauthorized"
        platform_events.send(
            {"appid": appid, "at": created_at, **({} if withdrawn else {"code": str(code)})}
        )
        invocation.count("PlatformEvents")
    else:
        invocation.count("PushesIgnored")
