"""The third-party platform of a deployment: which merchants it serves, and its calls for them."""

import time
from collections.abc import Callable
from typing import TypeVar

from wechat_auth.platform.calls import Listed, PlatformCalls
from wechat_auth.platform.sources import AuthorizerSource, ComponentSource
from wechat_auth.platform.table import PlatformTable
from wechat_auth.secret_store import SecretStore
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.tokens.sources import TokenSource
from wechat_auth.wechat import Code2Session

T = TypeVar("T")

KNOWN_FOR = 60.0
"""Seconds for which an environment believes that a merchant authorises the platform."""


class Platform:
    """The platform.

    ``appid in platform`` tells whether a merchant authorises it, as far as is known here.

    Args:
        appid: Its own appid (component_appid).
        table: What it must not lose.
        calls: Its calls.
        secrets: For its AppSecret.
        access_tokens: Returns those of this environment.
        clock: Gives the time in seconds.

    Attributes:
        appid: As given.
        table: As given.
        calls: As given.
    """

    def __init__(
        self,
        appid: str,
        table: PlatformTable,
        calls: PlatformCalls,
        secrets: SecretStore,
        *,
        access_tokens: Callable[[], AccessTokens],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.appid = appid
        self.table = table
        self.calls = calls
        self._access_tokens = access_tokens
        self._clock = clock
        self._known: dict[str, float] = {}
        self._component_source = ComponentSource(table, calls, secrets)
        self._authorizer_source = AuthorizerSource(
            table, calls, self.component_token, self.using, self.listed
        )

    def __contains__(self, appid: object) -> bool:
        """Tell whether a merchant authorises the platform; asked of the table once a minute."""
        if not isinstance(appid, str) or appid == self.appid:
            return False
        now = self._clock()
        if now < self._known.get(appid, 0):
            return True
        self._known.pop(appid, None)
        if not self.table.is_authorized(appid):
            return False
        self._known[appid] = now + KNOWN_FOR
        return True

    def source(self, appid: str) -> TokenSource:
        """Return where the platform's own, or a merchant's, tokens come from."""
        return self._component_source if appid == self.appid else self._authorizer_source

    def component_token(self) -> str:
        """Return the component_access_token.

        Raises:
            AuthError: As `AccessTokens.get`.
        """
        return self._access_tokens().get(self.appid)

    def using(self, call: Callable[[str], T]) -> T:
        """Make a call with the component_access_token; see `AccessTokens.using`."""
        return self._access_tokens().using(self.appid, call)

    def listed(self, appid: str) -> Listed | None:
        """Find a merchant, with its refresh token, in the list that WeChat has."""
        return self.using(
            lambda token: next(
                (
                    merchant
                    for merchant in self.calls.merchants(token)
                    if merchant.appid == appid and merchant.refresh_token
                ),
                None,
            )
        )

    def code2session(self, appid: str, code: str, *, reserve: float) -> Code2Session:
        """Exchange a login code of a merchant's user.

        Raises:
            WeChatError: WeChat refused; 61003 means that the merchant authorises it no more.
            WeChatUnavailableError: No answer; the code may be spent.
        """
        return self.using(
            lambda token: self.calls.code2session(token, appid, code, reserve=reserve)
        )
