"""Check with WeChat whether a session_key is live, and reset it."""

from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.errors import KEY_NOT_LIVE, AuthError
from wechat_auth.failure_budget import FailureBudget
from wechat_auth.sessions import Session
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from wechat_auth.tokens.access_tokens import AccessTokens


def session_key_is_live(
    session: Session,
    *,
    failure_budget: FailureBudget,
    access_tokens: "AccessTokens",
    wechat: WeChat,
) -> bool:
    """Ask WeChat whether the session_key of this login still is the user's live one.

    Raises:
        AuthError: ``too_many_requests`` if so much was asked about this user today,
            ``wechat_unavailable`` or an operator's fault.
    """
    failure_budget.count_question(session.user)
    return access_tokens.using(
        session.appid,
        lambda token: wechat.check_session_key(token, session.openid, session.session_key),
    )


def reset_session_key(session: Session, *, access_tokens: "AccessTokens", wechat: WeChat) -> None:
    """Have WeChat replace the session_key after its owner logged out everywhere.

    The sessions are gone already, so a failure here is logged and does not undo the logout; a
    session_key that a later wx.login has replaced cannot and need not be reset.
    """
    try:
        access_tokens.using(
            session.appid,
            lambda token: wechat.reset_user_session_key(token, session.openid, session.session_key),
        )
    except AuthError as error:
        if error.errcode not in KEY_NOT_LIVE:
            invocation.log_fault(error)
