"""Where the tokens of a third-party platform come from: its ticket, and its merchants' tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from wechat_auth import invocation
from wechat_auth.errors import (
    APP_NOT_AUTHORIZED,
    APP_SECRET_REFUSED,
    REFRESH_TOKEN_INVALID,
    AuthError,
    WeChatError,
    misconfigured,
)
from wechat_auth.platform.calls import Listed, PlatformCalls
from wechat_auth.platform.table import Merchant, PlatformTable
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import StorageError
from wechat_auth.wechat import AccessToken

T = TypeVar("T")

WithComponentToken = Callable[[Callable[[str], T]], T]
"""Makes a call with the component_access_token, and once more with another if that is refused."""

_NO_TICKET = (
    "WeChat has pushed no component_verify_ticket within 12 hours: compare the URL for "
    "authorisation events in open.weixin.qq.com with docs/third-party-platform.md; pushes are "
    "restarted by themselves, and a ticket comes every 10 minutes"
)


@dataclass(frozen=True, slots=True)
class ComponentSource:
    """What a ticket and the platform's AppSecret pay for; see `TokenSource`."""

    table: PlatformTable
    calls: PlatformCalls
    secrets: SecretStore
    call: str = "getComponentAccessToken"
    reissues: bool = False

    def prepare(self, appid: str) -> None:
        """Do nothing: the ticket is one read away."""

    def issue(self, appid: str, *, force: bool) -> AccessToken:  # noqa: ARG002 - each is new
        """Get the component_access_token; see `TokenSource`."""
        secret = self.secrets.app_secret(appid)
        ticket = self.table.ticket()
        if ticket is None:
            raise misconfigured(_NO_TICKET)
        try:
            return self.calls.component_access_token(secret, ticket.text)
        except WeChatError as error:
            if error.errcode in APP_SECRET_REFUSED:
                self.secrets.app_secret_refused()
            raise


@dataclass(frozen=True, slots=True)
class AuthorizerSource:
    """What a merchant's refresh token pays for; see `TokenSource`."""

    table: PlatformTable
    calls: PlatformCalls
    component_token: Callable[[], str]
    with_component_token: "WithComponentToken[tuple[AccessToken, str]]"
    listed: Callable[[str], Listed | None]
    call: str = "getAuthorizerAccessToken"
    reissues: bool = False

    def prepare(self, appid: str) -> None:  # noqa: ARG002 - one for all merchants
        """Have the component_access_token in memory."""
        self.component_token()

    def issue(self, appid: str, *, force: bool) -> AccessToken:  # noqa: ARG002 - each is new
        """Get a merchant's access_token, and store the refresh token that comes with it."""
        merchant = self.table.merchant(appid)
        if merchant is None or not merchant.authorized:
            raise AuthError(APP_NOT_AUTHORIZED)
        refresh_token = merchant.refresh_token or self._listed(merchant)
        try:
            issued, successor = self._exchange(appid, refresh_token)
        except WeChatError as error:
            if error.errcode != REFRESH_TOKEN_INVALID:
                raise
            listed = self._listed(merchant)
            if listed == refresh_token:
                raise
            issued, successor = self._exchange(appid, listed)
        try:
            self.table.keep_refresh_token(merchant, successor)
        except StorageError as error:
            # The one before works 5 minutes more, and getAuthorizerList knows the new one.
            invocation.log_fault(error)
        return issued

    def _exchange(self, appid: str, refresh_token: str) -> tuple[AccessToken, str]:
        return self.with_component_token(
            lambda token: self.calls.authorizer_access_token(token, appid, refresh_token)
        )

    def _listed(self, merchant: Merchant) -> str:
        """Return the refresh token that WeChat has for a merchant whose own is lost."""
        if (listed := self.listed(merchant.appid)) and listed.refresh_token:
            return listed.refresh_token
        raise misconfigured(
            f"the refresh token of {merchant.appid} is lost, and WeChat does not list it: its "
            "owner must authorise the platform again, by the link that make authorise prints",
            errcode=REFRESH_TOKEN_INVALID,
        )
