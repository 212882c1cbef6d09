"""Where access_tokens come from: the calls of WeChat's that issue them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wechat_auth.errors import APP_SECRET_REFUSED, WeChatError
from wechat_auth.secret_store import SecretStore
from wechat_auth.settings import TokenMode
from wechat_auth.wechat import AccessToken, WeChat


class TokenSource(Protocol):
    """A call of WeChat's that issues an app's access_token."""

    @property
    def call(self) -> str:
        """WeChat's name of the call."""

    @property
    def reissues(self) -> bool:
        """Whether it hands out the living token again; if not, each call replaces it."""

    def prepare(self, appid: str) -> None:
        """Get what the call needs beside the app's own, before anybody waits for it.

        Raises:
            AuthError: As :meth:`issue`.
        """

    def issue(self, appid: str, *, force: bool) -> AccessToken:
        """Get a token.

        Args:
            appid: The app.
            force: Replace a living token, which ends at once, within WeChat's limits.

        Raises:
            AuthError: WeChat refused or did not answer, or the AppSecret cannot be had.
        """


@dataclass(frozen=True, slots=True)
class AppSecretSource:
    """A call that an AppSecret pays for; see `TokenSource`."""

    call: str
    reissues: bool
    secrets: SecretStore
    ask: Callable[[str, str, bool], AccessToken]
    """Takes appid, AppSecret and force, and makes the call."""

    def prepare(self, appid: str) -> None:
        """Do nothing: the AppSecret is all it takes."""

    def issue(self, appid: str, *, force: bool) -> AccessToken:
        """Get a token; see `TokenSource`."""
        try:
            return self.ask(appid, self.secrets.app_secret(appid), force)
        except WeChatError as error:
            if error.errcode in APP_SECRET_REFUSED:
                self.secrets.app_secret_refused()
            raise


def app_secret_source(mode: TokenMode, wechat: WeChat, secrets: SecretStore) -> AppSecretSource:
    """Return the source of one of WeChat's two kinds of token.

    Args:
        mode: ``stable``: every server gets the same token until its last 5 minutes. ``classic``:
            each call ends the token before.
        wechat: Makes the call.
        secrets: For the AppSecret.
    """
    if mode == "stable":
        return AppSecretSource(
            call="getStableAccessToken",
            reissues=True,
            secrets=secrets,
            ask=lambda appid, secret, force: wechat.stable_access_token(appid, secret, force=force),
        )
    return AppSecretSource(
        call="getAccessToken",
        reissues=False,
        secrets=secrets,
        ask=lambda appid, secret, _: wechat.classic_access_token(appid, secret),
    )
