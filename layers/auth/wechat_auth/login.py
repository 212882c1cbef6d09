"""Login: a wx.login code becomes a session of ours."""

from wechat_auth import invocation, services
from wechat_auth.errors import AuthError, WeChatError
from wechat_auth.sessions import IssuedSession


def login(appid: str, code: str) -> IssuedSession:
    """Exchange a login code at WeChat and start a session: one call, one write.

    Needs no access_token, so it works while none can be had.

    Args:
        appid: The app in which wx.login ran.
        code: What wx.login gave; works once, for 5 minutes.

    Raises:
        AuthError: ``login_code_rejected``, ``user_blocked``, ``wechat_unavailable`` or an
            operator's fault.
    """
    secrets = services.secret_store()
    secrets.key_ring()  # without it no session can be stored, and the code would be spent in vain
    try:
        who = services.wechat().code2session(appid, secrets.app_secret(appid), code)
    except WeChatError as error:
        if error.errcode in {40001, 40125}:
            secrets.app_secret_refused()
        if error.errcode == 40029 and looks_like_phone_code(code):  # noqa: PLR2004
            raise AuthError(
                error.problem,
                "This has the form of a phone code (getPhoneNumber): POST it to /phone, and send "
                "the code of wx.login here.",
                errcode=error.errcode,
                rid=error.rid,
            ) from None
        raise
    issued = services.sessions().issue(appid, who)
    invocation.count("Logins")
    return issued


def looks_like_login_code(code: str) -> bool:
    """Tell whether a code has the form of wx.login's: 32 letters and digits from a ``0`` on."""
    return len(code) == 32 and code.startswith("0") and code.isalnum()  # noqa: PLR2004


def looks_like_phone_code(code: str) -> bool:
    """Tell whether a code has the form of getPhoneNumber's: 64 lower-case hexadecimal digits."""
    return len(code) == 64 and not set(code) - set("0123456789abcdef")  # noqa: PLR2004
