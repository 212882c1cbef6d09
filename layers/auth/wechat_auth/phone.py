"""Phone exchange: the code of the getPhoneNumber button becomes the user's number, once.

A used code is worth nothing at WeChat, so it often stands in logs. It opens nothing here either:
what is kept of an exchange takes the session of the user, or the key that its client made up.
"""

from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.codes import LOGIN_CODE_SENT_AS_PHONE_CODE, looks_like_login_code
from wechat_auth.errors import CODE_INVALID, WeChatError
from wechat_auth.phone_records import PhoneRecords
from wechat_auth.sessions import Session
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.wechat import PhoneNumber, WeChat

if TYPE_CHECKING:
    from collections.abc import Callable

    from wechat_auth.secured_calls import Envelope


def exchange_phone_code(
    appid: str,
    code: str,
    session: Session | None,
    idempotency_key: str | None = None,
    *,
    records: PhoneRecords,
    access_tokens: AccessTokens,
    wechat: WeChat,
    envelope: "Callable[[str], Envelope | None]",
) -> PhoneNumber:
    """Exchange a phone code, or find the answer it was exchanged for within the last 5 minutes.

    Args:
        appid: The app in which the user tapped.
        code: ``e.detail.code`` of the getPhoneNumber button.
        session: Who is logged in, if anyone; WeChat then refuses another user's code.
        idempotency_key: What the client made up to find the answer again without a session.
        records: Where the answer is kept.
        access_tokens: For the call.
        wechat: Exchanges the code.
        envelope: Returns what an app's calls are sealed in, if it has API security.

    Raises:
        AuthError: ``phone_code_rejected``, ``wechat_unavailable``, ``storage_unavailable``,
            ``user_restricted``, ``too_many_requests`` or an operator's fault.
    """
    openid = session.openid if session else None

    def exchange() -> PhoneNumber:
        sealed_in = envelope(appid)
        try:
            number = access_tokens.using(
                appid, lambda token: wechat.phone_number(token, code, openid, sealed_in)
            )
        except WeChatError as error:
            if error.errcode == CODE_INVALID and looks_like_login_code(code):
                raise error.because(LOGIN_CODE_SENT_AS_PHONE_CODE) from None
            raise
        invocation.count("PhoneExchanges")
        return number

    if openid is None and idempotency_key is None:
        return exchange()
    return records.once(appid, openid, code, exchange, idempotency_key=idempotency_key)
