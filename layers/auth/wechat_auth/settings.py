"""The settings of the functions: environment variables that template.yaml sets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wechat_auth.errors import AuthError, misconfigured

TokenMode = Literal["stable", "classic"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment can choose.

    Attributes:
        appids: The mini-programs this deployment serves.
        wechat_base_urls: Where WeChat's API is; the next is tried if the one before could not
            be connected to.
        access_token_mode: ``stable`` (getStableAccessToken) or ``classic`` (/cgi-bin/token).
        app_secrets_id: Secrets Manager id of the AppSecrets.
        key_ring_id: Secrets Manager id of the key ring.
        api_clients_id: Secrets Manager id of the clients of POST /introspect.
        sessions_table: DynamoDB table of the sessions.
        access_tokens_table: DynamoDB table of the access_tokens.
        phone_exchanges_table: DynamoDB table of the phone exchanges.
        session_life: Seconds a session lives.
        phone_requires_login: Whether POST /phone needs a Bearer token.
        open_data_max_age: Seconds that a watermark may be away from now.
        decrypt_failures_per_day: Failed decryptions a user may have in a day.
        check_encrypted_data: Whether decrypted phone numbers must pass checkEncryptedData.
        origin_secret_sha256: Hash in hexadecimal of what the edge adds to requests, or ``""`` if
            there is no edge.
        account_function_arn: The team's own Lambda function that knows its accounts, or empty.
    """

    appids: tuple[str, ...]
    wechat_base_urls: tuple[str, ...]
    access_token_mode: TokenMode
    app_secrets_id: str
    key_ring_id: str
    api_clients_id: str
    sessions_table: str
    access_tokens_table: str
    phone_exchanges_table: str
    session_life: int
    phone_requires_login: bool
    open_data_max_age: int
    decrypt_failures_per_day: int
    check_encrypted_data: bool
    origin_secret_sha256: str
    account_function_arn: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Args:
            env: Environment variables; each is described in docs/settings.md.

        Raises:
            AuthError: ``misconfigured``; the remedy names the variable and what it must be.
        """
        mode = _text(env, "ACCESS_TOKEN_MODE", "stable")
        if mode not in {"stable", "classic"}:
            raise _wrong("ACCESS_TOKEN_MODE", "stable or classic")
        return cls(
            appids=_list(env, "WECHAT_APPIDS"),
            wechat_base_urls=_list(env, "WECHAT_BASE_URLS", "https://api.weixin.qq.com"),
            access_token_mode="classic" if mode == "classic" else "stable",
            app_secrets_id=_text(env, "APP_SECRETS_ID"),
            key_ring_id=_text(env, "KEY_RING_ID"),
            api_clients_id=_text(env, "API_CLIENTS_ID"),
            sessions_table=_text(env, "SESSIONS_TABLE"),
            access_tokens_table=_text(env, "ACCESS_TOKENS_TABLE"),
            phone_exchanges_table=_text(env, "PHONE_EXCHANGES_TABLE"),
            session_life=_number(env, "SESSION_DAYS", 7) * 86_400,
            phone_requires_login=_flag(env, "PHONE_REQUIRES_LOGIN", default=False),
            open_data_max_age=_number(env, "OPEN_DATA_MAX_AGE", 600),
            decrypt_failures_per_day=_number(env, "DECRYPT_FAILURES_PER_DAY", 50),
            check_encrypted_data=_flag(env, "CHECK_ENCRYPTED_DATA", default=True),
            origin_secret_sha256=env.get("ORIGIN_SECRET_SHA256", "").strip(),
            account_function_arn=env.get("ACCOUNT_FUNCTION_ARN", "").strip(),
        )


def start_of_environment(env: Mapping[str, str] = os.environ) -> str | None:
    """Return how Lambda starts this environment, like ``on-demand`` or ``snap-start``.

    Source: AWS_LAMBDA_INITIALIZATION_TYPE, AWS Lambda Developer Guide, "Defined runtime environment
    variables".
    """
    return env.get("AWS_LAMBDA_INITIALIZATION_TYPE")


def _wrong(name: str, expectation: str) -> AuthError:
    return misconfigured(f"the environment variable {name} must be {expectation}")


def _text(env: Mapping[str, str], name: str, default: str = "") -> str:
    value = env.get(name, "").strip() or default
    if not value:
        raise _wrong(name, "set")
    return value


def _list(env: Mapping[str, str], name: str, default: str = "") -> tuple[str, ...]:
    values = tuple(part.strip() for part in _text(env, name, default).split(",") if part.strip())
    if not values:
        raise _wrong(name, "a comma-separated list of at least one entry")
    return values


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = _text(env, name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise _wrong(name, "a whole number above 0")
    return int(text)


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = _text(env, name, "true" if default else "false").lower()
    if text not in {"true", "false"}:
        raise _wrong(name, "true or false")
    return text == "true"
