"""What can be asked of WeChat about a session's session_key: whether it is live, and a new one."""

from wechat_auth import invocation, services
from wechat_auth.errors import AuthError
from wechat_auth.sessions import Session
from wechat_auth.with_access_token import with_access_token


def session_key_is_live(session: Session) -> bool:
    """Ask WeChat whether the session_key of this login still is the user's live one.

    Raises:
        AuthError: ``wechat_unavailable`` or an operator's fault.
    """
    return with_access_token(
        session.appid,
        lambda token: services.wechat().check_session_key(
            token, session.openid, session.session_key
        ),
    )


def reset_session_key(session: Session) -> None:
    """Have WeChat replace the session_key after its owner logged out everywhere.

    The sessions are gone already, so a failure here is logged and does not undo the logout; a
    session_key that a later wx.login has replaced cannot and need not be reset.
    """
    try:
        with_access_token(
            session.appid,
            lambda token: services.wechat().reset_user_session_key(
                token, session.openid, session.session_key
            ),
        )
    except AuthError as error:
        if error.errcode not in {87007, 87009}:
            invocation.log_fault(error)
