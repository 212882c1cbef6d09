"""What the platform must not lose: tickets and authorisations, late, repeated and reordered."""

import time
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine

from local import COMPONENT
from local.simulated_wechat import Fault, Pushed
from tests.harness.api import Api
from tests.harness.deployment import Asked
from tests.third_party.conftest import MERCHANT, OK, OTHER_MERCHANT, Scene
from wechat_auth.errors import AUTHORISE_AGAIN, NOT_AUTHORIZED, AuthError

REFUSED = (403, "")
MISCONFIGURED = (500, "misconfigured", "contact_support")


def refresh_token(scene: Scene, appid: str = MERCHANT) -> str | None:
    """Return what is stored, as the backend reads it."""
    merchant = scene.deployment.backend.platform_table.merchant(appid)
    return merchant.refresh_token if merchant else None


class TestTickets:
    def test_a_ticket_is_kept_sealed_in_one_write(self, new: Scene) -> None:
        new.deployment.operations.clear()
        pushed = new.platform.ticket()
        assert new.push(pushed) == OK
        assert new.deployment.operations == {"GetSecretValue": 2, "UpdateItem": 1}
        item = new.item(COMPONENT)
        assert set(item) == {"platform", "appid", "sealed", "changed_at"}
        assert b"ticket" not in bytes(item["sealed"]["B"])  # type: ignore[arg-type]

    def test_an_older_or_repeated_one_changes_nothing(self, new: Scene) -> None:
        newest, older = new.platform.ticket(), new.platform.ticket(age=600)
        assert new.push(newest) == OK
        kept = new.item(COMPONENT)
        assert [new.push(each) for each in (older, newest, older)] == [OK] * 3
        assert new.item(COMPONENT) == kept

    def test_it_is_good_for_twelve_hours_and_for_no_longer(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        tokens = scene.deployment.backend.access_tokens
        clock.shift(12 * 3600 - 60)
        assert scene.wechat.accepts(tokens.get(COMPONENT))
        clock.shift(7200)
        scene.deployment.cold_start()
        with pytest.raises(AuthError) as caught:
            scene.deployment.backend.access_tokens.get(COMPONENT)
        assert "no component_verify_ticket within 12 hours" in str(caught.value.remedy)

    @pytest.mark.parametrize("path", [COMPONENT, f"{COMPONENT}/{MERCHANT}"])
    def test_what_another_platform_signed_is_refused(self, scene: Scene, path: str) -> None:
        kept = scene.item(COMPONENT)
        other = type(scene.platform)("wxc0ffee0000000002", scene.wechat.clock)
        assert scene.deployment.push(other.ticket(), path) == REFUSED
        assert scene.item(COMPONENT) == kept

    @pytest.mark.parametrize("path", ["wxffffffffffffffff/" + MERCHANT, f"{COMPONENT}/wx"])
    def test_no_other_path_takes_what_the_platform_signed(self, scene: Scene, path: str) -> None:
        assert scene.deployment.push(scene.platform.ticket(), path) == REFUSED

    def test_there_is_no_address_to_verify(self, scene: Scene) -> None:
        assert scene.deployment.push(scene.platform.push.verification(), COMPONENT) == REFUSED

    def test_other_information_is_answered_and_left_alone(self, scene: Scene) -> None:
        message: dict[str, str | int] = {
            "AppId": COMPONENT,
            "CreateTime": 1,
            "InfoType": "notify_third_fasteregister",
        }
        assert scene.push(scene.platform.push.seal(message)) == OK
        assert scene.deployment.stack.queues.work_off() == 0


class TestSchedule:
    def test_a_ticket_of_an_hour_ago_restarts_pushes_once_in_ten_minutes(
        self, scene: Scene, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        scene.schedule()
        clock.shift(3590)
        scene.schedule()
        assert asked("startPushTicket") == 0
        clock.shift(20)
        for _ in range(10):
            outcome = scene.schedule()
            clock.shift(60)
        assert asked("startPushTicket") == 1
        assert COMPONENT in outcome
        scene.schedule()
        assert asked("startPushTicket") == 2

    def test_without_any_ticket_it_asks_for_one_too(self, new: Scene, asked: Asked) -> None:
        new.platform.pushing = False
        outcome = new.schedule()
        assert outcome["pushes"] == "restarted"
        assert outcome[COMPONENT] == "misconfigured"
        assert new.platform.pushing
        assert asked("startPushTicket") == 1

    def test_it_renews_the_tokens_of_platform_and_merchants_before_they_expire(
        self, scene: Scene, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        scene.authorized()
        scene.schedule()
        assert asked("getAuthorizerAccessToken") == 1
        clock.shift(7200 - 290)
        assert scene.push(scene.platform.ticket()) == OK
        outcome = scene.schedule()
        assert (outcome[COMPONENT], outcome[MERCHANT]) == ("renewed", "renewed")
        assert (asked("getAuthorizerAccessToken"), asked("getComponentAccessToken")) == (2, 2)

    def test_it_finds_merchants_that_authorised_the_platform_before_it_came_here(
        self, scene: Scene, api: Api, clock: time_machine.Traveller
    ) -> None:
        scene.platform.authorize(MERCHANT, age=86_400)
        scene.platform.authorizations[MERCHANT].taken_up = True
        assert scene.schedule()["merchants"] == "1 found"
        phone = scene.wechat.phone(MERCHANT)
        assert api.login(phone.login(), appid=MERCHANT).status == 200
        clock.shift(60)
        assert "merchants" not in scene.schedule()  # within the hour

    def test_a_list_that_did_not_come_is_asked_for_again_in_five_minutes(
        self, scene: Scene, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        scene.wechat.faults.add(Fault("getAuthorizerList", "errcode", errcode=61004))
        assert scene.schedule()["merchants"] == "misconfigured"
        clock.shift(298)
        assert "merchants" not in scene.schedule()
        clock.shift(2)
        assert scene.schedule()["merchants"] == "0 found"
        clock.shift(3598)
        assert "merchants" not in scene.schedule()
        assert asked("getAuthorizerList") == 2

    def test_the_list_comes_with_another_component_token_if_that_is_refused(
        self, scene: Scene, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        scene.deployment.backend.access_tokens.get(COMPONENT)
        clock.shift(60)
        scene.wechat.revoke_access_token(COMPONENT)
        assert scene.schedule()["merchants"] == "0 found"
        assert asked("getComponentAccessToken") == 2

    @pytest.mark.parametrize("errcode", sorted(AUTHORISE_AGAIN))
    def test_a_merchant_whose_withdrawal_never_came_is_tried_once_an_hour(
        self, scene: Scene, clock: time_machine.Traveller, errcode: int
    ) -> None:
        scene.authorized()
        for _ in range(2):
            scene.wechat.faults.add(Fault("getAuthorizerAccessToken", "errcode", errcode=errcode))
        code = "app_not_authorized" if errcode == NOT_AUTHORIZED else "misconfigured"
        assert scene.schedule()[MERCHANT] == code
        for _ in range(3):
            clock.shift(60)
            assert MERCHANT not in scene.schedule()
        clock.shift(3600 - 180)
        assert scene.push(scene.platform.ticket()) == OK
        assert MERCHANT in scene.schedule()

    def test_a_merchant_that_authorises_again_is_not_made_to_wait_for_that_hour(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        scene.authorized()
        scene.wechat.faults.add(Fault("getAuthorizerAccessToken", "errcode", errcode=61003))
        assert scene.schedule()[MERCHANT] == "app_not_authorized"
        clock.shift(60)
        scene.authorized()
        assert scene.schedule()[MERCHANT] == "renewed"


class TestAuthorisations:
    def test_the_code_is_exchanged_once_and_what_came_is_kept_sealed(
        self, scene: Scene, asked: Asked
    ) -> None:
        scene.authorized(MERCHANT, 18, 49)
        assert asked("getAuthorizerRefreshToken") == 1
        item = scene.item(MERCHANT)
        assert item["permissions"] == {"S": "18,49"}
        token = scene.platform.authorizations[MERCHANT].refresh_token
        assert token not in repr(item)
        assert refresh_token(scene) == token
        assert "expires_at" not in item

    def test_a_repeated_event_changes_nothing(self, scene: Scene, asked: Asked) -> None:
        event = scene.platform.authorize(MERCHANT)
        assert [scene.push(event) for _ in range(3)] == [OK] * 3
        assert scene.deployment.stack.queues.work_off() == 3
        assert asked("getAuthorizerRefreshToken") == 1

    def test_what_fails_comes_again_and_is_done_then(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        scene.wechat.faults.add(Fault("getAuthorizerRefreshToken", "drop_before", times=2))
        assert scene.push(scene.platform.authorize(MERCHANT)) == OK
        queues = scene.deployment.stack.queues
        assert queues.work_off() == 0
        clock.shift(21)
        assert queues.work_off() == 1
        assert refresh_token(scene) == scene.platform.authorizations[MERCHANT].refresh_token

    def test_a_code_that_is_spent_already_brings_the_refresh_token_from_the_list(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        scene.wechat.faults.add(Fault("getAuthorizerRefreshToken", "drop_after", times=2))
        assert scene.push(scene.platform.authorize(MERCHANT)) == OK
        queues = scene.deployment.stack.queues
        assert queues.work_off() == 0
        clock.shift(21)
        assert queues.work_off() == 1
        assert refresh_token(scene) == scene.platform.authorizations[MERCHANT].refresh_token

    def test_events_out_of_order_leave_what_happened_last(self, scene: Scene) -> None:
        first = scene.platform.authorize(MERCHANT, age=30)
        gone = scene.platform.withdraw(MERCHANT, age=20)
        again = scene.platform.authorize(MERCHANT, age=10)
        queues = scene.deployment.stack.queues
        for event in (again, gone, first):
            assert scene.push(event) == OK
            assert queues.work_off() == 1
        assert refresh_token(scene) == scene.platform.authorizations[MERCHANT].refresh_token

    def test_a_late_authorisation_does_not_undo_a_withdrawal(self, scene: Scene) -> None:
        first = scene.platform.authorize(MERCHANT, age=30)
        gone = scene.platform.withdraw(MERCHANT, age=20)
        for event in (gone, first):
            assert scene.push(event) == OK
            assert scene.deployment.stack.queues.work_off() == 1
        assert refresh_token(scene) is None


class TestRefreshTokens:
    def test_the_one_that_comes_back_is_stored_each_time(self, scene: Scene) -> None:
        scene.platform.rotates = True
        scene.authorized()
        first = refresh_token(scene)
        scene.deployment.backend.access_tokens.get(MERCHANT)
        assert refresh_token(scene) == scene.platform.authorizations[MERCHANT].refresh_token
        assert refresh_token(scene) != first

    def test_one_that_is_lost_comes_back_from_the_list(self, scene: Scene, asked: Asked) -> None:
        scene.authorized()
        scene.platform.authorizations[MERCHANT].refresh_token = "refreshtoken@@@another"
        token = scene.deployment.backend.access_tokens.get(MERCHANT)
        assert scene.wechat.accepts(token)
        assert (asked("getAuthorizerAccessToken"), asked("getAuthorizerList")) == (2, 1)
        assert refresh_token(scene) == "refreshtoken@@@another"

    def test_a_lost_table_comes_back_but_for_the_ticket(self, scene: Scene) -> None:
        for appid in (MERCHANT, OTHER_MERCHANT):
            scene.authorized(appid)
        scene.deployment.clear("Platform")
        scene.deployment.clear("AccessTokens")
        scene.deployment.cold_start()
        assert scene.push(scene.platform.ticket()) == OK
        assert scene.schedule()["merchants"] == "2 found"
        for appid in (MERCHANT, OTHER_MERCHANT):
            kept = scene.platform.authorizations[appid].refresh_token
            assert refresh_token(scene, appid) == kept

    def test_they_outlive_rotations_of_the_keys_that_seal_them(
        self, scene: Scene, clock: time_machine.Traveller
    ) -> None:
        scene.authorized()
        kept = refresh_token(scene)
        before = [scene.item(appid)["sealed"] for appid in (MERCHANT, COMPONENT)]
        ring = scene.deployment.secret("KeyRing")
        scene.deployment.put_secret("KeyRing", {**ring, "current": "k2", "k2": "k2" * 32})
        clock.shift(301)
        assert refresh_token(scene) == kept
        assert [scene.item(appid)["sealed"] for appid in (MERCHANT, COMPONENT)] == before
        scene.schedule()
        for appid, sealed in zip((MERCHANT, COMPONENT), before, strict=True):
            assert scene.item(appid)["sealed"] != sealed
        scene.deployment.put_secret("KeyRing", {"current": "k2", "k2": "k2" * 32})
        clock.shift(301)
        assert refresh_token(scene) == kept

    def test_an_address_that_is_not_listed_is_named_to_the_operator_alone(
        self, scene: Scene, api: Api
    ) -> None:
        phone = scene.authorized()
        scene.deployment.clear("AccessTokens")
        scene.deployment.cold_start()
        scene.platform.addresses = ("192.0.2.1",)
        answer = api.login(phone.login(), appid=MERCHANT)
        assert answer.problem == MISCONFIGURED
        assert b"127.0.0.1" not in answer.content


class TestMessagesOfMerchants:
    def test_an_account_that_was_closed_ends_the_sessions_of_a_merchants_user(
        self, scene: Scene, api: Api
    ) -> None:
        phone = scene.authorized()
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        pushed = closed(scene, phone.openid)
        assert scene.deployment.push(pushed, f"{COMPONENT}/{MERCHANT}") == OK
        assert scene.deployment.stack.queues.work_off() == 1
        assert api.session(token).problem[1] == "session_invalid"


def closed(scene: Scene, openid: str) -> Pushed:
    return scene.platform.push.seal(
        {
            "ToUserName": "gh_0123456789ab",
            "CreateTime": int(time.time()) + 1,
            "MsgType": "event",
            "Event": "user_authorization_cancellation",
            "OpenID": openid,
        }
    )


class TestOperators:
    def test_a_link_carries_a_fresh_code_and_leads_back_to_the_page(self, scene: Scene) -> None:
        page = "https://example.com/authorised?a=1"
        made = [scene.deployment.stack.invoke("merchants", {"page": page}) for _ in range(2)]
        for name, host in (("desktop", "mp.weixin.qq.com"), ("wechat", "open.weixin.qq.com")):
            parsed = [urlsplit(each["links"][name]) for each in made]
            queries = [dict(parse_qsl(each.query)) for each in parsed]
            assert {each.hostname for each in parsed} == {host}
            assert queries[0]["pre_auth_code"] != queries[1]["pre_auth_code"]
            for query in queries:
                assert query["component_appid"] == COMPONENT
                assert (query["redirect_uri"], query["auth_type"]) == (page, "2")
        assert made[0]["links"]["expiresIn"] == 1800

    def test_the_list_says_who_granted_what(self, scene: Scene) -> None:
        scene.authorized(MERCHANT, 18, 49)
        scene.authorized(OTHER_MERCHANT)
        scene.withdrawn(OTHER_MERCHANT)
        (merchant,) = scene.deployment.stack.invoke("merchants", {})["merchants"]
        assert (merchant["appid"], merchant["permissions"]) == (MERCHANT, [18, 49])
