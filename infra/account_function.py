"""The messages of an account function, as types: copy this file beside your handler.

Version 1 of account-function.schema.json, which a test holds them against. Needs Python 3.11.
What each member means: docs/account-function.md.
"""

from typing import Any, Literal, NotRequired, TypedDict


class Login(TypedDict):
    """A user is logging in."""

    version: Literal[1]
    event: Literal["login"]
    appid: str
    openid: str
    unionid: NotRequired[str]


class Phone(TypedDict):
    """WeChat has handed out a user's phone number."""

    version: Literal[1]
    event: Literal["phone"]
    appid: str
    openid: NotRequired[str]
    unionid: NotRequired[str]
    phoneNumber: str
    purePhoneNumber: str
    countryCode: str
    verifiedAt: NotRequired[int]
    by: Literal["phoneCode", "encryptedData", "cloudID"]


class UserEvent(TypedDict):
    """WeChat has said something about a user; what is answered means nothing."""

    version: Literal[1]
    event: Literal[
        "user_authorization_revoke", "user_authorization_cancellation", "user_info_modified"
    ]
    appid: str
    at: int
    openid: NotRequired[str]
    revoked: NotRequired[list[int]]
    pluginId: NotRequired[str]
    openPid: NotRequired[str]


Message = Login | Phone | UserEvent


class Account(TypedDict, total=False):
    """What the client is told."""

    isNew: bool | None
    needsPhone: bool | None


class Refusal(TypedDict, total=False):
    """Why the user is refused."""

    title: str | None
    code: str | None


class Answer(TypedDict, total=False):
    """What the function returns."""

    accountId: str | None
    claims: dict[str, Any] | None
    account: Account | None
    refuse: Refusal | None
