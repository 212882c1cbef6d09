"""What is built once per execution environment, on first use and never at import.

Nothing here is built before an invocation needs it, so that a wrong setting is an error with a
remedy instead of an init failure, and each function loads only what its path uses.
"""

import time
from functools import cache
from typing import TYPE_CHECKING

from wechat_auth import aws
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions
from wechat_auth.settings import Settings
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from wechat_auth.access_token import AccessTokens

clock = time.time


@cache
def settings() -> Settings:
    """Return the settings of this deployment."""
    return Settings.from_env()


@cache
def secret_store() -> SecretStore:
    """Return the key ring and the AppSecrets."""
    return SecretStore(
        aws.secrets_manager,
        key_ring_id=settings().key_ring_id,
        app_secrets_id=settings().app_secrets_id,
    )


@cache
def sessions() -> Sessions:
    """Return the sessions."""
    return Sessions(
        aws.dynamodb,
        settings().sessions_table,
        secret_store(),
        life=settings().session_life,
    )


@cache
def wechat() -> WeChat:
    """Return the client of WeChat's API, with its connections."""
    return WeChat(settings().wechat_base_urls)


@cache
def access_tokens() -> "AccessTokens":
    """Return the access_tokens; imported here, since login and authorizer need none."""
    from wechat_auth.access_token import AccessTokens  # noqa: PLC0415

    return AccessTokens(
        aws.dynamodb,
        settings().access_tokens_table,
        secret_store(),
        wechat(),
        mode=settings().access_token_mode,
    )
