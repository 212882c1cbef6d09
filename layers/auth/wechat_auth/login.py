"""Login: a wx.login code becomes a session of ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.codes import PHONE_CODE_SENT_AS_LOGIN_CODE, looks_like_phone_code
from wechat_auth.errors import (
    APP_SECRET_REFUSED,
    CODE_INVALID,
    INVALID_REQUEST,
    LOGIN_UNFINISHED,
    AuthError,
    WeChatError,
    WeChatUnavailableError,
)
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import NO_ACCOUNT, IssuedSession, Sessions
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from wechat_auth.account import AccountFunction
    from wechat_auth.platform.platform import Platform

_EXCHANGES = frozenset({"code2Session", "thirdpartyCode2Session"})
"""The calls that spend a login code; those that get the platform a token do not."""


def login(
    appid: str,
    code: str,
    *,
    secrets: SecretStore,
    wechat: WeChat,
    sessions: Sessions,
    account_function: "AccountFunction | None" = None,
    platform_of: "Callable[[str], Platform | None]" = lambda _: None,
) -> IssuedSession:
    """Exchange a login code at WeChat and start a session: one call, one write.

    An own app's needs no access_token, so it works while none can be had.

    Args:
        appid: The app in which wx.login ran.
        code: What wx.login gave; works once, for 5 minutes.
        secrets: For the AppSecret.
        wechat: Exchanges the code.
        sessions: Where the session is started.
        account_function: The team's, if there is one; it is asked before the session is started.
        platform_of: Returns the third-party platform, if an app is a merchant's.

    Raises:
        AuthError: ``login_code_rejected``, ``invalid_request`` if it is a phone code,
            ``user_blocked``, ``app_not_authorized``, ``wechat_unavailable``, ``login_unfinished``,
            ``account_refused`` or an operator's fault.
    """
    secrets.key_ring()  # without it no session can be stored, and the code would be spent in vain
    platform = platform_of(appid)
    secret = "" if platform else secrets.app_secret(appid)
    reserve = account_function.seconds if account_function else sessions.write_seconds
    try:
        if platform:
            who = platform.code2session(appid, code, reserve=reserve)
        else:
            who = wechat.code2session(appid, secret, code, reserve=reserve)
    except WeChatUnavailableError as error:
        if error.sent and error.call in _EXCHANGES:
            raise error.answered_as(LOGIN_UNFINISHED) from None
        raise
    except WeChatError as error:
        if error.errcode in APP_SECRET_REFUSED and not platform:
            secrets.app_secret_refused()
        if error.errcode == CODE_INVALID and looks_like_phone_code(code):
            raise error.answered_as(INVALID_REQUEST, PHONE_CODE_SENT_AS_LOGIN_CODE) from None
        raise
    with login_code_spent():
        account = account_function.login(appid, who) if account_function else NO_ACCOUNT
        issued = sessions.issue(appid, who, account)
    invocation.count("Logins")
    return issued


@contextmanager
def login_code_spent() -> Iterator[None]:
    """Let no error say that a request can be repeated whose login code is spent.

    Raises:
        AuthError: ``login_unfinished`` in place of an error whose action is ``retry``.
    """
    try:
        yield
    except AuthError as error:
        if error.problem.action == "retry":
            raise error.answered_as(LOGIN_UNFINISHED) from None
        raise
