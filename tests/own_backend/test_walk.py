"""A team's own server knows the user and gets the number from us, never from the client.

The servers are those that docs/own-backend.md shows; their clients of RFC 7662 are Authlib's and
openid-client's, behind FastAPI and behind passport's middleware for Express.
"""

import pytest

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Api, legacy
from tests.harness.deployment import Asked, Deployment

from .conftest import COMMANDS, StartServer, kit_on_a_phone

NUMBER, MASKED = "13800138000", "138****8000"

each_server = pytest.mark.parametrize("name", COMMANDS)


@each_server
def test_from_login_to_logout(
    name: str, start_server: StartServer, api: Api, phone: Phone, asked: Asked
) -> None:
    server, token = start_server(name), api.logged_in(phone)
    assert server.me(token).json == {"masked": None}

    tap = {"code": phone.tap_phone_number().code}
    for _ in range(2):  # a double tap, a lost reply
        answer = server.bind(tap, token)
        assert (answer.status, answer.json) == (200, {"masked": MASKED})
    assert server.bound() == {phone.openid: NUMBER}
    assert server.me(token).json == {"masked": MASKED}
    assert asked("getPhoneNumber") == 1

    api.logout(token)
    assert [server.me(token).status, server.bind(tap, token).status] == [401, 401]


@each_server
def test_a_stranger_with_the_code_gets_no_number(
    name: str, start_server: StartServer, api: Api, phone: Phone, wechat: SimulatedWeChat
) -> None:
    server, stranger = start_server(name), api.logged_in(wechat.phone(number="13580006666"))
    owner, tap = api.logged_in(phone), {"code": phone.tap_phone_number().code}
    rejected = (422, "phone_code_rejected", "authorize_again")
    refused = server.bind(tap, stranger)
    assert (refused.status, refused.json["code"], refused.json["action"]) == rejected
    assert server.bound() == {}
    assert server.bind(tap, owner).json == {"masked": MASKED}
    again = server.bind(tap, stranger)  # also once it has been exchanged
    assert (again.status, again.json["code"], again.json["action"]) == rejected
    assert server.bound() == {phone.openid: NUMBER}


@each_server
def test_who_has_no_session_is_nobody(
    name: str, start_server: StartServer, api: Api, phone: Phone
) -> None:
    server, token = start_server(name), api.logged_in(phone)
    tap = {"code": phone.tap_phone_number().code}
    for wrong in (None, "nonsense", token[:-1]):
        assert [server.me(wrong).status, server.bind(tap, wrong).status] == [401, 401]
    assert server.bound() == {}


@each_server
def test_an_old_clients_tap_is_bound_too(
    name: str, start_server: StartServer, api: Api, phone: Phone
) -> None:
    server, token = start_server(name), api.logged_in(phone)
    info = phone.user_info()
    other_data = {"encryptedData": info.encrypted_data, "iv": info.iv}
    assert server.bind(other_data, token).status == 422
    assert server.bind(legacy(phone.tap_phone_number()), token).json == {"masked": MASKED}
    assert server.bound() == {phone.openid: NUMBER}


@each_server
def test_what_the_client_says_of_itself_counts_for_nothing(
    name: str, start_server: StartServer, api: Api, phone: Phone
) -> None:
    server, token = start_server(name), api.logged_in(phone)
    claimed = {"phoneNumber": "13580006666", "openid": "o" * 28}
    tap = {"code": phone.tap_phone_number().code}
    assert server.bind({**tap, **claimed}, token).json == {"masked": MASKED}
    assert server.bound() == {phone.openid: NUMBER}


@each_server
def test_a_server_with_a_wrong_secret_lets_nobody_in(
    name: str, start_server: StartServer, api: Api, phone: Phone
) -> None:
    server, token = start_server(name, client=("local", "wrong")), api.logged_in(phone)
    assert server.me(token).status == 500


@each_server
def test_the_kit_and_the_server_get_the_same_number_from_one_exchange(
    name: str, start_server: StartServer, deployment: Deployment
) -> None:
    server = start_server(name)
    said = kit_on_a_phone(deployment.stack, server)
    ((_, number),) = server.bound().items()
    assert said["number"]["phoneNumber"] == number
    masked = f"{number[:3]}****{number[-4:]}"
    assert (said["bound"], said["me"]) == ({"masked": masked}, {"masked": masked})
    assert said["exchanges"] == 1
