"""The matrix can fail: its checks find each of these faults in a backend spoilt on purpose."""

import pytest
import time_machine

from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.leaks import leaks_in
from tests.hostile.faults.cases import MERCHANT, Scene
from tests.hostile.faults.faults import Outside
from tests.hostile.faults.sabotage import InTwoSteps, SendingAgain, Tables, Unexpected
from tests.hostile.faults.test_matrix import try_every_cell
from wechat_auth.storage import Table


@pytest.mark.parametrize(
    ("outside", "table", "request_", "found"),
    [
        (SendingAgain, Table, "POST /login", "a code was sent twice by one request"),
        (Outside, InTwoSteps, "POST /login", "assert_nothing_is_half_written"),
        (Outside, Unexpected, "GET /session", "internal_error"),
    ],
)
def test_what_is_broken_is_found(
    api: Api,
    deployment: Deployment,
    clock: time_machine.Traveller,
    outside: type[Outside],
    table: type[Table],
    request_: str,
    found: str,
) -> None:
    deployment.cold_start(aws=Tables(deployment.stack.environment.aws, table))
    with pytest.raises((AssertionError, KeyError)) as caught:
        try_every_cell(api, clock, request_, outside(deployment))
    assert found in f"{caught.traceback[-1].name}: {caught.value}"


def test_a_secret_that_is_written_is_found(api: Api, deployment: Deployment) -> None:
    phone = deployment.wechat.phone()
    code, tap = phone.login(), phone.tap_phone_number()
    token = api.login(code).json["token"]
    api.phone(tap.code)
    for secret, what in (
        (code, "code"),
        (tap.code, "code"),
        (token, "session token"),
        (phone.openid, "openid"),
        (phone.number, "phone number"),
        (deployment.wechat.apps[0].secret, "AppSecret"),
    ):
        assert leaks_in(f"a line with {secret} in it", deployment, api) == [what]
    assert leaks_in("a line without", deployment, api) == []


def test_a_platforms_secrets_are_found_too(api: Api, deployment: Deployment) -> None:
    user = Scene(api, deployment, deployment.wechat.phone()).of_merchant()
    user.token()
    deployment.stack.invoke("merchants", {"page": "https://example.com/"})
    platform, push = deployment.wechat.platform, deployment.wechat.message_push()
    assert platform
    made = platform.authorizations[MERCHANT]
    pre_auth_code = next(text for text, what in platform.issued.items() if what == "preauthcode")
    for secret, what in (
        (platform.newest_ticket, "ticket"),
        (made.code, "queryauthcode"),
        (made.refresh_token, "refreshtoken"),
        (pre_auth_code, "preauthcode"),
        (deployment.wechat.access_tokens[-1], "access_token"),
        (platform.secret, "AppSecret"),
        (push.token, "Token"),
        (platform.push.token, "Token"),
        (push.encoding_aes_key, "EncodingAESKey"),
        (platform.push.encoding_aes_key, "EncodingAESKey"),
        (user.phone.openid, "openid"),
    ):
        assert leaks_in(f"a line with {secret} in it", deployment, api) == [what]
