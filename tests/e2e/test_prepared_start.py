"""What init does ahead of the first request, so that no user waits for it at a small processor."""

from collections.abc import Callable
from contextlib import suppress
from threading import enumerate as threads
from typing import Any

import pytest
import time_machine
from botocore.client import BaseClient

from local import embedded_aws
from local.invocations import ACCOUNT_FUNCTION
from local.simulated_wechat import Phone, SimulatedWeChat, serve
from tests.harness.api import Api
from tests.harness.counting import counted
from tests.harness.deployment import Deployment
from wechat_auth.backend import Backend, prepare
from wechat_auth.storage import Aws, StorageError
from wechat_auth.wechat import WeChat

Prepare = Callable[..., None]


def app_secret(backend: Backend) -> str:
    return backend.secrets.app_secret(backend.settings.appids[0])


@pytest.fixture
def started(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Start an environment as Lambda does on demand."""
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")

    def start(**options: Any) -> None:
        prepare(**options, make_backend=deployment.stack.environment.backend)
        for thread in threads():
            if thread.name.startswith("connect"):
                thread.join()

    return start


def test_after_init_a_login_is_as_quick_as_a_warm_one(
    deployment: Deployment, api: Api, started: Prepare
) -> None:
    started(calls_wechat=True, reads=app_secret)
    assert deployment.operations == {"GetSecretValue": 2}
    assert api.logged_in(deployment.wechat.phone())
    assert deployment.operations == {"GetSecretValue": 2, "PutItem": 1}


def test_a_function_that_needs_no_app_secret_does_not_read_it(
    deployment: Deployment, started: Prepare
) -> None:
    started()
    assert deployment.operations == {"GetSecretValue": 1}


def test_after_init_the_calls_of_an_app_with_api_security_are_sealed_at_once(
    deployment: Deployment, api: Api, started: Prepare, phone: Phone
) -> None:
    deployment.secure()
    started(calls_wechat=True, reads=Backend.envelopes)
    assert deployment.operations == {"GetSecretValue": 2}
    envelope = deployment.backend.envelope(phone.appid)
    assert api.phone(phone.tap_phone_number().code).status == 200
    assert deployment.backend.envelope(phone.appid) is envelope
    assert deployment.operations["GetSecretValue"] == 2


def test_an_app_without_api_security_has_no_envelope(
    deployment: Deployment, started: Prepare, phone: Phone
) -> None:
    started(calls_wechat=True, reads=Backend.envelopes)
    assert deployment.backend.envelope(phone.appid) is None
    assert deployment.operations == {"GetSecretValue": 2}


def test_what_a_function_names_is_built(deployment: Deployment, started: Prepare) -> None:
    built: list[object] = []
    started(needs=lambda backend: built.append(backend.phone_records))
    assert built == [deployment.backend.phone_records]


def test_the_connection_to_wechat_is_made_at_init_and_used_by_the_first_call(
    deployment: Deployment, api: Api, started: Prepare
) -> None:
    with counted(deployment.stack.wechat_url) as (url, made):
        deployment.cold_start(wechat=WeChat([url]))
        started(calls_wechat=True)
        with made.get(timeout=5):
            assert api.logged_in(deployment.wechat.phone())
        assert made.empty()


def test_the_connection_to_dynamodb_that_is_made_at_init_is_used_by_the_first_call() -> None:
    # The embedded AWS closes every connection after one answer; this server keeps them.
    with serve(SimulatedWeChat([])) as server, counted(server.url) as (url, made):
        aws = Aws(embedded_aws.create_client(url))
        aws.connect_to_dynamodb()
        with made.get(timeout=5):
            assert aws.table("Things").get({"id": "u"}) is None
        assert made.empty()


def test_the_connection_to_lambda_that_is_made_at_init_is_used_by_the_first_call() -> None:
    with serve(SimulatedWeChat([])) as server, counted(server.url) as (url, made):
        aws = Aws(embedded_aws.create_client(url))
        aws.connect_to_lambda()
        with made.get(timeout=5), suppress(StorageError):
            aws.invoke(ACCOUNT_FUNCTION, b"{}")  # which that server does not know
        assert made.empty()


@pytest.mark.parametrize("variables", [{}, {"ACCOUNT_FUNCTION_ARN": ACCOUNT_FUNCTION}])
def test_a_client_of_lambda_is_made_at_init_if_there_is_an_account_function_and_never_else(
    deployment: Deployment, api: Api, started: Prepare, variables: dict[str, str]
) -> None:
    create_client = embedded_aws.create_client(deployment.stack.aws_url)
    made: list[str] = []

    def noting(service_name: str, **more: Any) -> BaseClient:
        made.append(service_name)
        return create_client(service_name, **more)

    deployment.stack.invocations.functions[ACCOUNT_FUNCTION] = lambda *_: {}
    deployment.configure(**variables)
    deployment.cold_start(aws=Aws(noting))
    started(calls_wechat=True)
    at_init = ["dynamodb", "secretsmanager", *(["lambda"] if variables else [])]
    assert made == at_init
    phone = deployment.wechat.phone()
    assert api.phone(phone.tap_phone_number().code, token=api.logged_in(phone)).status == 200
    assert made == at_init


@pytest.mark.parametrize("start", ["snap-start", None])
def test_a_snapshot_holds_no_secret_and_no_connection(
    deployment: Deployment, started: Prepare, monkeypatch: pytest.MonkeyPatch, start: str | None
) -> None:
    """And nothing is done if Lambda does not say that it starts an environment."""
    if start:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", start)
    else:
        monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE")
    before = len(threads())
    started(calls_wechat=True, reads=app_secret)
    assert deployment.operations == {}
    assert len(threads()) <= before


def test_what_fails_at_init_is_told_by_the_first_request(
    deployment: Deployment, api: Api, started: Prepare, clock: time_machine.Traveller
) -> None:
    deployment.fail("GetSecretValue", "AccessDeniedException")
    started(calls_wechat=True, reads=app_secret)
    assert api.login(deployment.wechat.phone().login()).problem[1] == "misconfigured"
    deployment.heal()
    clock.shift(5)  # for which the failure is remembered
    assert api.logged_in(deployment.wechat.phone())


def test_a_wrong_setting_is_no_init_failure(
    deployment: Deployment, api: Api, started: Prepare
) -> None:
    deployment.configure(SESSION_DAYS="seven")
    started(calls_wechat=True, reads=app_secret)
    assert api.login(deployment.wechat.phone().login()).problem[1] == "misconfigured"


def test_an_aws_out_of_reach_is_no_init_failure(deployment: Deployment, started: Prepare) -> None:
    deployment.cold_start(aws=Aws(embedded_aws.create_client("http://127.0.0.1:9")))
    deployment.backend.aws.connect_to_dynamodb()
    started()
    assert deployment.operations == {}


def test_a_wechat_out_of_reach_is_no_init_failure(
    deployment: Deployment, api: Api, started: Prepare
) -> None:
    deployment.configure(WECHAT_BASE_URLS="http://127.0.0.1:9")
    started(calls_wechat=True, reads=app_secret)
    assert api.login(deployment.wechat.phone().login()).problem[1] == "wechat_unavailable"
