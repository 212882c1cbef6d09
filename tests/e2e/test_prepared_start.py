"""What init does ahead of the first request, so that no user waits for it at a small processor."""

from collections.abc import Iterator
from functools import cache
from threading import enumerate as threads

import pytest

from tests.harness.api import Api
from tests.harness.backend import Backend
from wechat_auth import aws, services


@pytest.fixture
def started(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    backend.cold_start()
    yield monkeypatch
    join()


def join() -> None:
    """Wait for connections that are being made."""
    for thread in threads():
        if thread.name.startswith("connect"):
            thread.join()


def test_after_init_a_login_is_as_quick_as_a_warm_one(
    backend: Backend, api: Api, started: pytest.MonkeyPatch
) -> None:
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    assert backend.operations == {"GetSecretValue": 2}
    assert api.logged_in(backend.wechat.phone())
    assert backend.operations == {"GetSecretValue": 2, "PutItem": 1}


def test_a_function_that_needs_no_app_secret_does_not_read_it(
    backend: Backend, started: pytest.MonkeyPatch
) -> None:
    services.prepare()
    assert backend.operations == {"GetSecretValue": 1}


def test_the_connection_to_wechat_is_made_at_init_and_used_by_the_first_call(
    backend: Backend, api: Api, started: pytest.MonkeyPatch
) -> None:
    services.prepare(calls_wechat=True)
    join()
    pools = services.wechat()._pool.pools
    [pool] = [pools[key] for key in pools.keys()]  # noqa: SIM118 - it is no dict
    assert (pool.num_connections, pool.num_requests) == (1, 1)
    assert api.logged_in(backend.wechat.phone())
    assert pool.num_requests == 2


def test_so_is_the_one_to_dynamodb(backend: Backend, api: Api, started: pytest.MonkeyPatch) -> None:
    started.setattr(aws, "dynamodb", cache(lambda: aws._client("dynamodb")))
    services.prepare()
    join()
    pools = aws.dynamodb()._endpoint.http_session._manager.pools  # type: ignore[attr-defined]
    [pool] = [pools[key] for key in pools.keys()]  # noqa: SIM118 - it is no dict
    assert (pool.num_connections, pool.num_requests) == (1, 1)
    assert api.logged_in(backend.wechat.phone())
    assert (pool.num_connections, pool.num_requests) == (1, 2)


def test_a_snapshot_holds_no_secret_and_no_connection(
    backend: Backend, started: pytest.MonkeyPatch
) -> None:
    started.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    before = len(threads())
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    assert backend.operations == {}
    assert len(threads()) == before


def test_where_lambda_does_not_start_it_nothing_is_done(
    backend: Backend, started: pytest.MonkeyPatch
) -> None:
    started.delenv("AWS_LAMBDA_INITIALIZATION_TYPE")
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    assert backend.operations == {}


def test_what_fails_at_init_is_told_by_the_first_request(
    backend: Backend, api: Api, started: pytest.MonkeyPatch
) -> None:
    backend.fail("GetSecretValue", "AccessDeniedException")
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    assert api.login(backend.wechat.phone().login()).problem[1] == "misconfigured"
    backend.heal()
    assert api.logged_in(backend.wechat.phone())


def test_a_wrong_setting_is_no_init_failure(
    backend: Backend, api: Api, started: pytest.MonkeyPatch
) -> None:
    backend.configure(SESSION_DAYS="seven")
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    assert api.login(backend.wechat.phone().login()).problem[1] == "misconfigured"


def test_a_dynamodb_out_of_reach_is_no_init_failure(
    backend: Backend, started: pytest.MonkeyPatch
) -> None:
    started.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    started.setattr(aws, "dynamodb", cache(lambda: aws._client("dynamodb")))
    aws.connect_to_dynamodb()
    services.prepare()
    assert backend.operations == {"GetSecretValue": 1}


def test_a_wechat_out_of_reach_is_no_init_failure(
    backend: Backend, api: Api, started: pytest.MonkeyPatch
) -> None:
    backend.configure(WECHAT_BASE_URLS="http://127.0.0.1:9")
    services.prepare(calls_wechat=True, needs_app_secrets=True)
    join()
    assert api.login(backend.wechat.phone().login()).problem[1] == "wechat_unavailable"
