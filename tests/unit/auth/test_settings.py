"""Settings: defaults, forms, and remedies that name the variable."""

from dataclasses import FrozenInstanceError

import pytest

from tests.harness.settings import REQUIRED
from wechat_auth.errors import MISCONFIGURED, AuthError
from wechat_auth.settings import Settings


def test_what_is_required_is_enough() -> None:
    assert Settings.from_env(REQUIRED) == Settings(
        appids=("wx0123456789abcdef",),
        wechat_base_urls=("https://api.weixin.qq.com",),
        access_token_mode="stable",
        app_secrets_id="AppSecrets",
        key_ring_id="KeyRing",
        api_clients_id="ApiClients",
        sessions_table="Sessions",
        access_tokens_table="AccessTokens",
        phone_exchanges_table="PhoneExchanges",
        session_life=7 * 86_400,
        phone_requires_login=False,
        open_data_max_age=600,
        decrypt_failures_per_day=50,
        check_encrypted_data=True,
        origin_secret_sha256="",
        user_events_queue=REQUIRED["USER_EVENTS_QUEUE"],
    )


def test_everything_can_be_set() -> None:
    chosen = Settings.from_env(
        {
            "WECHAT_APPIDS": "wx0123456789abcdef, wxfedcba9876543210,",
            "WECHAT_BASE_URLS": "https://api.weixin.qq.com,https://api2.weixin.qq.com",
            "ACCESS_TOKEN_MODE": "classic",
            "APP_SECRETS_ID": "arn:secrets",
            "KEY_RING_ID": "arn:ring",
            "API_CLIENTS_ID": "arn:clients",
            "SESSIONS_TABLE": "S",
            "ACCESS_TOKENS_TABLE": "A",
            "PHONE_EXCHANGES_TABLE": "P",
            "SESSION_DAYS": "1",
            "PHONE_REQUIRES_LOGIN": "true",
            "OPEN_DATA_MAX_AGE": "60",
            "DECRYPT_FAILURES_PER_DAY": "3",
            "CHECK_ENCRYPTED_DATA": "false",
            "ORIGIN_SECRET_SHA256": "5ec7e7",
            "USER_EVENTS_QUEUE": "https://queue",
            "ACCOUNT_FUNCTION_ARN": "arn:function",
            "COMPONENT_APPID": "wxc0ffee0000000001",
            "PLATFORM_TABLE": "Platform",
            "PLATFORM_EVENTS_QUEUE": "https://platform",
        }
    )

    assert chosen == Settings(
        appids=("wx0123456789abcdef", "wxfedcba9876543210"),
        wechat_base_urls=("https://api.weixin.qq.com", "https://api2.weixin.qq.com"),
        access_token_mode="classic",
        app_secrets_id="arn:secrets",
        key_ring_id="arn:ring",
        api_clients_id="arn:clients",
        sessions_table="S",
        access_tokens_table="A",
        phone_exchanges_table="P",
        session_life=86_400,
        phone_requires_login=True,
        open_data_max_age=60,
        decrypt_failures_per_day=3,
        check_encrypted_data=False,
        origin_secret_sha256="5ec7e7",
        user_events_queue="https://queue",
        account_function_arn="arn:function",
        component_appid="wxc0ffee0000000001",
        platform_table="Platform",
        platform_events_queue="https://platform",
    )
    assert chosen.with_app_secret == (*chosen.appids, "wxc0ffee0000000001")


def test_a_platform_may_serve_its_merchants_alone() -> None:
    of_platform = {
        "COMPONENT_APPID": "wxc0ffee0000000001",
        "PLATFORM_TABLE": "Platform",
        "PLATFORM_EVENTS_QUEUE": "https://platform",
    }
    settings = Settings.from_env({**REQUIRED, **of_platform, "WECHAT_APPIDS": ""})
    assert settings.appids == ()
    assert settings.with_app_secret == ("wxc0ffee0000000001",)


@pytest.mark.parametrize("name", ["PLATFORM_TABLE", "PLATFORM_EVENTS_QUEUE"])
def test_a_platform_needs_its_table_and_its_queue(name: str) -> None:
    of_platform = {
        "COMPONENT_APPID": "wxc0ffee0000000001",
        "PLATFORM_TABLE": "Platform",
        "PLATFORM_EVENTS_QUEUE": "https://platform",
    }
    with pytest.raises(AuthError) as caught:
        Settings.from_env({**REQUIRED, **of_platform, name: ""})
    assert name in str(caught.value.remedy)


@pytest.mark.parametrize("name", sorted(REQUIRED))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    env = {key: text for key, text in REQUIRED.items() if key != name}
    if value is not None:
        env[name] = value

    with pytest.raises(AuthError) as refused:
        Settings.from_env(env)

    assert refused.value.problem is MISCONFIGURED
    assert refused.value.remedy == f"the environment variable {name} must be set"


@pytest.mark.parametrize(
    ("name", "value", "expectation"),
    [
        ("WECHAT_APPIDS", ",", "a comma-separated list of at least one entry"),
        ("WECHAT_BASE_URLS", " , ", "a comma-separated list of at least one entry"),
        ("ACCESS_TOKEN_MODE", "Stable", "stable or classic"),
        ("ACCESS_TOKEN_MODE", "forced", "stable or classic"),
        ("SESSION_DAYS", "0", "a whole number above 0"),
        ("SESSION_DAYS", "-1", "a whole number above 0"),
        ("SESSION_DAYS", "1.5", "a whole number above 0"),
        ("SESSION_DAYS", "七", "a whole number above 0"),
        ("SESSION_DAYS", "٧", "a whole number above 0"),
        ("OPEN_DATA_MAX_AGE", "10m", "a whole number above 0"),
        ("DECRYPT_FAILURES_PER_DAY", "none", "a whole number above 0"),
        ("PHONE_REQUIRES_LOGIN", "yes", "true or false"),
        ("CHECK_ENCRYPTED_DATA", "1", "true or false"),
    ],
)
def test_what_is_wrong_is_named_with_what_it_must_be(
    name: str, value: str, expectation: str
) -> None:
    with pytest.raises(AuthError) as refused:
        Settings.from_env({**REQUIRED, name: value})

    assert refused.value.problem is MISCONFIGURED
    assert refused.value.remedy == f"the environment variable {name} must be {expectation}"


@pytest.mark.parametrize("text", ["TRUE", "True", " true "])
def test_a_flag_may_be_spelled_as_cloudformation_spells_it(text: str) -> None:
    assert Settings.from_env({**REQUIRED, "PHONE_REQUIRES_LOGIN": text}).phone_requires_login


def test_without_an_argument_the_process_environment_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SESSION_DAYS", "30")

    assert Settings.from_env().session_life == 30 * 86_400


def test_settings_do_not_change() -> None:
    settings = Settings.from_env(REQUIRED)

    with pytest.raises(FrozenInstanceError):
        settings.session_life = 1  # type: ignore[misc]
