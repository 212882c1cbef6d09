"""Login: a wx.login code becomes a session of ours."""

from wechat_auth import invocation
from wechat_auth.codes import PHONE_CODE_SENT_AS_LOGIN_CODE, looks_like_phone_code
from wechat_auth.errors import APP_SECRET_REFUSED, CODE_INVALID, WeChatError
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import IssuedSession, Sessions
from wechat_auth.wechat import WeChat


def login(
    appid: str, code: str, *, secrets: SecretStore, wechat: WeChat, sessions: Sessions
) -> IssuedSession:
    """Exchange a login code at WeChat and start a session: one call, one write.

    Needs no access_token, so it works while none can be had.

    Args:
        appid: The app in which wx.login ran.
        code: What wx.login gave; works once, for 5 minutes.
        secrets: For the AppSecret.
        wechat: Exchanges the code.
        sessions: Where the session is started.

    Raises:
        AuthError: ``login_code_rejected``, ``user_blocked``, ``wechat_unavailable`` or an
            operator's fault.
    """
    secrets.key_ring()  # without it no session can be stored, and the code would be spent in vain
    try:
        who = wechat.code2session(appid, secrets.app_secret(appid), code)
    except WeChatError as error:
        if error.errcode in APP_SECRET_REFUSED:
            secrets.app_secret_refused()
        if error.errcode == CODE_INVALID and looks_like_phone_code(code):
            raise error.because(PHONE_CODE_SENT_AS_LOGIN_CODE) from None
        raise
    issued = sessions.issue(appid, who)
    invocation.count("Logins")
    return issued
