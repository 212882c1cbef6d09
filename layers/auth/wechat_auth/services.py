"""What is built once per execution environment, when it is first needed.

A wrong setting is an error of the invocation that meets it, with a remedy, and never an init
failure; and each function loads only what its path uses. `prepare` builds ahead, at init.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from wechat_auth import aws
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions
from wechat_auth.settings import Settings, start_of_environment
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from wechat_auth.access_token import AccessTokens

clock = time.time


def prepare(*, calls_wechat: bool = False, needs_app_secrets: bool = False) -> None:
    """Build at init what the first request would wait for.

    At init Lambda lends a whole processor, whatever the function's memory; a request has only its
    share, and TLS is most of what a first one would do. So clients are made now, secrets read, and
    DynamoDB and WeChat connected to meanwhile. Whatever fails is left to the first request, which
    meets the same error and can say so.

    A snapshot (SnapStart) may live for weeks: it gets the clients, but no secret or connection.
    Where Lambda does not say that it is starting an environment, nothing is done.

    Args:
        calls_wechat: Whether to connect to WeChat.
        needs_app_secrets: Whether to read the AppSecrets too.
    """
    start = start_of_environment()
    if start is None:
        return
    with suppress(Exception):
        aws.dynamodb()
        aws.secrets_manager()
        if calls_wechat:
            wechat()
        if start == "snap-start":
            return
        to_dynamodb = _meanwhile(aws.connect_to_dynamodb)
        if calls_wechat:
            _meanwhile(wechat().connect)
        secret_store().key_ring()
        if needs_app_secrets:
            secret_store().app_secret(settings().appids[0])
        to_dynamodb.join()  # while a whole processor is lent; WeChat may be far away


def _meanwhile(connect: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=connect, name="connect", daemon=True)
    thread.start()
    return thread


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
