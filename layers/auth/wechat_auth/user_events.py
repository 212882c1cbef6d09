"""What WeChat says about a user: consent withdrawn, account closed, nickname or picture cleaned up.

Each event says when it happened, and what is done looks only at what is older. So an event that
comes late, twice or out of order does no more than it would have done in its turn.

Source: WeChat, "用户信息授权变更" in the guide of message push.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wechat_auth import invocation

if TYPE_CHECKING:
    from wechat_auth.account import AccountFunction
    from wechat_auth.phone_records import PhoneRecords
    from wechat_auth.sessions import Sessions

REVOKED = "user_authorization_revoke"
CLOSED = "user_authorization_cancellation"
MODIFIED = "user_info_modified"
PHONE_NUMBER = 8
"""The phone number, among the numbers of what a user can withdraw."""
_NUMBERS = re.compile(r"\d{1,9}", re.ASCII)
_TIME = re.compile(r"\d{1,12}", re.ASCII)
_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")


@dataclass(frozen=True, slots=True)
class UserEvent:
    """One event about one user.

    Attributes:
        event: WeChat's name of it: ``REVOKED``, ``CLOSED`` or ``MODIFIED``.
        appid: The mini-program.
        at: When it happened, in seconds since 1970.
        openid: The user; WeChat leaves it out of some events that are ``MODIFIED``.
        revoked: Numbers of what was withdrawn, also those that are not known here.
        plugin_id: The plug-in that it was withdrawn from, if any.
        open_pid: The user, as that plug-in knows them.
    """

    event: str
    appid: str
    at: int
    openid: str | None = field(default=None, repr=False)
    revoked: tuple[int, ...] = ()
    plugin_id: str | None = None
    open_pid: str | None = field(default=None, repr=False)

    @classmethod
    def of_message(cls, appid: str, message: Mapping[str, Any], now: float) -> "UserEvent | None":
        """Read a pushed message; ``None`` if it is about something else.

        Args:
            appid: The mini-program it was pushed for.
            message: As `wechat_crypto.push_message.open_push` returned it.
            now: The time; nothing can have happened later.
        """
        event = message.get("Event")
        if message.get("MsgType") != "event" or event not in {REVOKED, CLOSED, MODIFIED}:
            return None
        created = str(message.get("CreateTime", ""))
        at = int(created) if _TIME.fullmatch(created) else now
        return cls(
            event=event,
            appid=appid,
            at=int(min(at, now)),
            openid=_id(message.get("OpenID")),
            revoked=tuple(map(int, _NUMBERS.findall(str(message.get("RevokeInfo", ""))))),
            plugin_id=_id(message.get("PluginID")),
            open_pid=_id(message.get("OpenPID")),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "UserEvent":
        """Read what :meth:`document` made."""
        return cls(
            event=document["event"],
            appid=document["appid"],
            at=document["at"],
            openid=document.get("openid"),
            revoked=tuple(document.get("revoked", ())),
            plugin_id=document.get("pluginId"),
            open_pid=document.get("openPid"),
        )

    def document(self) -> dict[str, Any]:
        """Return it as the queue holds it and as the account function is told."""
        members = {
            "event": self.event,
            "appid": self.appid,
            "at": self.at,
            "openid": self.openid,
            "revoked": list(self.revoked) if self.event == REVOKED else None,
            "pluginId": self.plugin_id,
            "openPid": self.open_pid,
        }
        return {name: value for name, value in members.items() if value is not None}


def act_on(
    event: UserEvent,
    *,
    sessions: "Sessions",
    phone_records: "PhoneRecords",
    account_function: "AccountFunction | None",
) -> None:
    """Do what an event asks for, and tell the account function; doing it again changes nothing.

    Args:
        event: What happened.
        sessions: End if the account was closed, those that began until then.
        phone_records: Give out no number any more that was got before consent was withdrawn.
        account_function: The team's; without one nobody is told, which is counted and logged.

    Raises:
        AuthError: ``storage_unavailable`` or ``account_unavailable``: the event must come again.
    """
    ended = 0
    if event.openid:
        if event.event == CLOSED:
            ended = sessions.end_all_of(event.appid, event.openid, until=event.at)
        if event.event == CLOSED or PHONE_NUMBER in event.revoked:
            phone_records.withdraw(event.appid, event.openid, until=event.at)
    if account_function:
        account_function.tell(event.document())
    else:
        invocation.count("UserEventsUntold")
    invocation.logger.info(
        "user event",
        extra={
            "event": event.event,
            "appid": event.appid,
            "revoked": event.revoked,
            "ended": ended,
            "told": account_function is not None,
        },
    )


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
