"""Calls that need an access_token, replayed once with another where WeChat refuses it."""

from collections.abc import Callable
from typing import TypeVar

from wechat_auth import services
from wechat_auth.errors import TOKEN_REFUSED, WeChatError

T = TypeVar("T")


def with_access_token(appid: str, call: Callable[[str], T]) -> T:
    """Make a call with the app's access_token; if that token is refused, once more with another.

    A refused token means that WeChat did not look at the rest, so a code in it is not spent.

    Args:
        appid: The app.
        call: Takes an access_token and makes the call.

    Raises:
        AuthError: What ``call`` raises, or that no access_token can be had.
    """
    tokens = services.access_tokens()
    token = tokens.get(appid)
    try:
        return call(token)
    except WeChatError as error:
        if error.errcode not in TOKEN_REFUSED:
            raise
    return call(tokens.get(appid, rejected=token))
