"""Phone exchange: the code of the getPhoneNumber button becomes the user's number, once.

A used code is worth nothing at WeChat, so it often stands in logs. It opens nothing here either:
what is kept of an exchange takes the session of the user, or the key that its client made up.
"""

from functools import partial
from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.codes import (
    LOGIN_CODE_SENT_AS_PHONE_CODE,
    PHONE_CODE_OF_ANOTHER_APP,
    looks_like_login_code,
)
from wechat_auth.errors import (
    APPID_INVALID,
    CODE_INVALID,
    INVALID_REQUEST,
    AuthError,
    WeChatError,
    invalid_field,
)
from wechat_auth.phone_records import Answer, PhoneRecords
from wechat_auth.sessions import Session
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.wechat import PhoneNumber, WeChat

if TYPE_CHECKING:
    from collections.abc import Callable

    from wechat_auth.account import AccountFunction
    from wechat_auth.secured_calls import Envelope


def exchange_phone_code(  # noqa: PLR0913 - each collaborator is named
    appid: str,
    code: str,
    session: Session | None,
    idempotency_key: str | None = None,
    *,
    records: PhoneRecords,
    access_tokens: AccessTokens,
    wechat: WeChat,
    envelope: "Callable[[str], Envelope | None]",
    account_function: "AccountFunction | None" = None,
) -> Answer:
    """Exchange a phone code, or find the answer it was exchanged for within the last 5 minutes.

    Args:
        appid: The app in which the user tapped.
        code: ``e.detail.code`` of the getPhoneNumber button.
        session: Who is logged in, if anyone; WeChat then refuses another user's code.
        idempotency_key: What the client made up to find the answer again without a session.
        records: Where the answer is kept.
        access_tokens: For the call.
        wechat: Exchanges the code.
        account_function: The team's, if there is one; it is asked before the client gets the
            number, which is kept until it accepts. So a session or a key is needed then.
        envelope: Returns what an app's calls are sealed in, if it has API security.

    Raises:
        AuthError: ``phone_code_rejected``, ``invalid_request`` if it is a login code or another
            app's, ``wechat_unavailable``, ``storage_unavailable``, ``user_restricted``,
            ``too_many_requests``, ``account_unavailable``, ``account_refused`` or an operator's
            fault.
    """
    openid = session.openid if session else None
    accept, reserve = None, 0.0
    if account_function:
        if openid is None and idempotency_key is None:
            raise invalid_field(
                "Idempotency-Key",
                "is needed without a session: the number is kept under it until the account "
                "function of this service's team has accepted it",
            )
        reserve = account_function.seconds + records.write_seconds
        accept = partial(
            account_function.phone,
            appid,
            session,
            by="phoneCode",
            reserve=records.write_seconds,
        )

    def exchange() -> PhoneNumber:
        sealed_in = envelope(appid)
        try:
            number = access_tokens.using(
                appid,
                lambda token: wechat.phone_number(token, code, openid, sealed_in, reserve=reserve),
            )
        except WeChatError as error:
            raise _named(error, code) from None
        invocation.count("PhoneExchanges")
        return number

    if openid is None and idempotency_key is None:
        return Answer(exchange())
    return records.once(
        appid,
        openid,
        code,
        exchange,
        idempotency_key=idempotency_key,
        accept=accept,
    )


def _named(error: WeChatError, code: str) -> AuthError:
    """Return an error that names the client's mistake, if it is one of the usual two."""
    if error.errcode == CODE_INVALID and looks_like_login_code(code):
        return error.answered_as(INVALID_REQUEST, LOGIN_CODE_SENT_AS_PHONE_CODE)
    if (error.call, error.errcode) == ("getPhoneNumber", APPID_INVALID):
        return error.answered_as(INVALID_REQUEST, PHONE_CODE_OF_ANOTHER_APP)
    return error
