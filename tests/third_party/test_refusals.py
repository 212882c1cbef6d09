"""What WeChat refuses, what is lost, and what another worker is at: said, and tried again."""

import pytest
import time_machine

from local import COMPONENT
from local.simulated_wechat import Fault
from tests.third_party.conftest import MERCHANT, OK, OTHER_MERCHANT, Scene
from wechat_auth.errors import AuthError

REFUSED = (403, "")


def refuse(scene: Scene, endpoint: str, errcode: int) -> None:
    scene.wechat.faults.add(Fault(endpoint, "errcode", errcode=errcode, times=None))


def token_error(scene: Scene, appid: str) -> AuthError:
    """Return why there is no token of an appid."""
    with pytest.raises(AuthError) as caught:
        scene.deployment.backend.access_tokens.get(appid)
    return caught.value


class TestAuthorisations:
    def test_what_another_worker_is_taking_up_comes_again(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        queues = scene.deployment.stack.queues
        event = scene.platform.authorize(MERCHANT)
        at = scene.platform.authorizations[MERCHANT].authorized_at
        assert scene.deployment.backend.platform_table.begin(MERCHANT, at) == "begun"
        assert scene.push(event) == OK
        assert queues.work_off() == 0
        clock.shift(21)
        assert queues.work_off() == 1

    @pytest.mark.parametrize("errcode", [-1, 61009, 61010])
    def test_a_code_that_brings_nothing_comes_again_while_the_list_has_nothing_either(
        self, scene: Scene, clock: time_machine.Traveller, errcode: int
    ) -> None:
        queues = scene.deployment.stack.queues
        refuse(scene, "getAuthorizerRefreshToken", errcode)
        assert scene.push(scene.platform.authorize(MERCHANT)) == OK
        assert queues.work_off() == 0
        scene.wechat.faults.clear()
        clock.shift(21)
        assert queues.work_off() == 1

    def test_a_code_of_another_mini_program_is_not_taken_for_this_one(self, scene: Scene) -> None:
        scene.platform.authorize(MERCHANT)
        message: dict[str, str | int] = {
            "AppId": COMPONENT,
            "CreateTime": int(scene.wechat.clock.now()),
            "InfoType": "authorized",
            "AuthorizerAppid": OTHER_MERCHANT,
            "AuthorizationCode": scene.platform.authorizations[MERCHANT].code,
        }
        assert scene.push(scene.platform.push.seal(message)) == OK
        assert scene.deployment.stack.queues.work_off() == 0
        merchant = scene.deployment.backend.platform_table.merchant(OTHER_MERCHANT)
        assert merchant is None

    def test_what_names_another_platform_is_refused_though_it_is_signed(self, scene: Scene) -> None:
        message: dict[str, str | int] = {
            "AppId": "wxc0ffee0000000002",
            "CreateTime": 1,
            "InfoType": "unauthorized",
            "AuthorizerAppid": MERCHANT,
        }
        assert scene.push(scene.platform.push.seal(message)) == REFUSED


class TestTokens:
    @pytest.mark.parametrize("errcode", [40125, -1])
    def test_a_platform_that_wechat_refuses_a_token_says_why(
        self, scene: Scene, errcode: int
    ) -> None:
        refuse(scene, "getComponentAccessToken", errcode)
        code = {40125: "misconfigured", -1: "wechat_unavailable"}[errcode]
        assert token_error(scene, COMPONENT).problem.code == code

    @pytest.mark.parametrize(
        ("errcode", "code"), [(-1, "wechat_unavailable"), (61023, "misconfigured")]
    )
    def test_a_merchants_token_that_is_refused_though_the_list_has_the_same_refresh_token(
        self, scene: Scene, errcode: int, code: str
    ) -> None:
        scene.authorized()
        refuse(scene, "getAuthorizerAccessToken", errcode)
        assert token_error(scene, MERCHANT).problem.code == code

    def test_there_is_none_for_an_app_that_never_authorised_the_platform(
        self, scene: Scene
    ) -> None:
        assert token_error(scene, MERCHANT).problem.code == "app_not_authorized"

    @pytest.mark.parametrize("listed", [True, False])
    def test_what_was_sealed_under_a_key_that_is_gone_comes_from_the_list(
        self, scene: Scene, clock: time_machine.Traveller, listed: bool
    ) -> None:
        scene.authorized()
        scene.deployment.put_secret("KeyRing", {"current": "k2", "k2": "k2" * 32})
        clock.shift(301)
        scene.deployment.clear("AccessTokens")
        scene.deployment.cold_start()
        clock.shift(1)
        assert scene.push(scene.platform.ticket()) == OK
        if not listed:
            scene.platform.authorizations.clear()
            assert "must authorise the platform again" in str(token_error(scene, MERCHANT).remedy)
            return
        assert scene.wechat.accepts(scene.deployment.backend.access_tokens.get(MERCHANT))


class TestSchedule:
    def test_a_wrong_secret_is_named_when_it_asks_for_tickets(self, new: Scene) -> None:
        refuse(new, "startPushTicket", 40125)
        assert new.schedule()["pushes"] == "misconfigured"

    def test_who_was_never_taken_up_is_not_found(self, scene: Scene) -> None:
        scene.platform.authorize(MERCHANT)
        assert scene.schedule()["merchants"] == "0 found"


def test_without_a_platform_nobody_has_authorised_one(scene: Scene) -> None:
    scene.deployment.configure(COMPONENT_APPID="")
    assert scene.deployment.stack.invoke("merchants", {}) == {"merchants": []}
    event = {"Records": [{"messageId": "1", "body": '{"appid":"wx","at":1}'}]}
    assert scene.deployment.stack.invoke("platform_events", event) == {"batchItemFailures": []}
