"""Each errcode of WeChat comes out of each route as the table of errors says."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import time_machine

from local.simulated_wechat import Fault, Phone, SimulatedWeChat
from tests.harness.api import Answer, Api, legacy
from tests.harness.deployment import Deployment
from wechat_auth.errors import ERRCODES, TOKEN_REFUSED, UNDECRYPTABLE, WeChatError
from wechat_auth.wechat import CALL


@dataclass(frozen=True, slots=True)
class Route:
    """A route, and the call to WeChat that it cannot do without.

    Attributes:
        call: WeChat's name of that call.
        ask: Make a request that a person's phone would make, with fresh codes.
    """

    call: str
    ask: Callable[[Api, Phone, str], Answer]


ROUTES = {
    "login": Route("code2Session", lambda api, phone, _: api.login(phone.login())),
    "phone": Route(
        "getPhoneNumber",
        lambda api, phone, token: api.phone(phone.tap_phone_number().code, token=token),
    ),
    "decrypt": Route(
        "checkEncryptedData",
        lambda api, phone, token: api.decrypt(token=token, **legacy(phone.tap_phone_number())),
    ),
    "decrypt in one shot": Route(
        "code2Session",
        lambda api, phone, _: api.decrypt(code=phone.login(), **legacy(phone.tap_phone_number())),
    ),
    "decrypt a cloudID": Route(
        "getOpenData",
        lambda api, phone, token: api.decrypt(
            token=token, cloudID=phone.tap_phone_number().cloud_id
        ),
    ),
    "session": Route("checkSessionKey", lambda api, _, token: api.session(token, "?verify=true")),
}
each_route = pytest.mark.parametrize("route", ROUTES)


@pytest.fixture
def token(api: Api, phone: Phone) -> str:
    """A session, in a backend that has its access_token already."""
    token = api.logged_in(phone)
    assert api.session(token, "?verify=true").status == 200
    return token


# An errcode that speaks of what the call does not have: WeChat does not give it there.
_ELSEWHERE = {
    "code2Session": {40003},
    "checkSessionKey": {1, 40029, 40163},
    "getOpenData": {40029, 40163},
    "checkEncryptedData": {40029, 40163},
}


@each_route
def test_each_errcode_of_the_table_is_answered_as_the_table_says(
    api: Api,
    phone: Phone,
    token: str,
    wechat: SimulatedWeChat,
    deployment: Deployment,
    clock: time_machine.Traveller,
    route: str,
) -> None:
    deployment.configure(DECRYPT_FAILURES_PER_DAY="1000")
    deployment.cold_start(sleep=clock.shift)
    call = ROUTES[route].call
    for errcode in sorted(ERRCODES.keys() - _ELSEWHERE.get(call, set())):
        clock.shift(31)  # a refused token may be forced away twice a minute
        # Where the token is refused the call is made once more, and as that token is young, again.
        wechat.faults.add(Fault(call, "errcode", errcode=errcode, times=3))
        answer = ROUTES[route].ask(api, phone, token)
        wechat.faults.clear()
        if call == "checkSessionKey" and errcode in {87007, 87009}:
            assert answer.json["sessionKeyValid"] is False
            continue
        expected = WeChatError(call, errcode).problem
        assert answer.problem == (expected.status, expected.code, expected.action), errcode
        assert answer.headers.get("Retry-After") == (
            str(expected.retry_after) if expected.retry_after else None
        )
        assert b"Traceback" not in answer.content
        # What is undecryptable is answered without WeChat's rid, whoever found it to be so.
        assert expected is UNDECRYPTABLE or "rid" in answer.json, errcode
    token = api.logged_in(phone)
    assert ROUTES[route].ask(api, phone, token).status == 200


def test_each_errcode_of_a_token_call_is_answered_as_the_table_says(
    api: Api,
    phone: Phone,
    wechat: SimulatedWeChat,
    clock: time_machine.Traveller,
) -> None:
    for errcode in sorted(ERRCODES.keys() - {1, 40003, 40029, 40163}):
        clock.shift(1)  # the pause after the failure before
        wechat.faults.add(Fault("getStableAccessToken", "errcode", errcode=errcode))
        answer = api.phone(code := phone.tap_phone_number().code)
        expected = WeChatError("getStableAccessToken", errcode).problem
        assert answer.problem == (expected.status, expected.code, expected.action), errcode
        assert answer.json["rid"]
    clock.shift(1)
    assert api.phone(code).status == 200  # nothing was spent


@pytest.mark.parametrize("errcode", sorted(TOKEN_REFUSED))
@pytest.mark.parametrize("route", sorted(ROUTES.keys() - {"login", "decrypt in one shot"}))
def test_a_token_refused_once_is_not_felt(
    api: Api, phone: Phone, token: str, wechat: SimulatedWeChat, errcode: int, route: str
) -> None:
    wechat.revoke_access_token(phone.appid, errcode=errcode)
    assert ROUTES[route].ask(api, phone, token).status == 200


def test_the_time_outs_of_the_functions_hold_the_calls_they_make(deployment: Deployment) -> None:
    """A token call and the call itself, with two seconds for AWS and the rest."""
    functions = deployment.stack.application.functions
    calls = {"login": 1, "phone": 2, "decrypt": 3, "session": 2, "refresh_access_token": 2}
    for name, count in calls.items():
        assert functions[name].timeout >= count * CALL.total + 2, name
