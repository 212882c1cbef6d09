"""Merchants' users: logins, phone numbers and open data, without any AppSecret of the merchant."""

import pytest
import time_machine

from local import APPID, COMPONENT
from local.simulated_wechat import Fault
from tests.harness.api import IDEMPOTENCY_KEY, Api, legacy
from tests.harness.deployment import Asked
from tests.third_party.conftest import MERCHANT, NUMBER, OTHER_MERCHANT, Scene

NOT_AUTHORIZED = (403, "app_not_authorized", "contact_support")
UNDECRYPTABLE = (422, "undecryptable", "login_again")
TOO_MANY_FAILURES = (429, "too_many_failures", "wait")
REJECTED = (400, "invalid_request", "fix_request")


class TestLogin:
    def test_a_merchants_user_logs_in_by_the_platforms_call(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        phone = scene.authorized()
        answer = api.login(phone.login(), appid=MERCHANT)
        assert answer.status == 200
        assert (asked("thirdpartyCode2Session"), asked("code2Session")) == (1, 0)
        assert asked("getComponentAccessToken") == 1
        assert asked("getAuthorizerAccessToken") == 0

    def test_an_own_app_beside_it_logs_in_as_ever_and_needs_not_name_itself(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        scene.authorized()
        own = scene.wechat.phone(APPID, NUMBER)
        assert api.login(own.login()).status == 200
        assert api.login(own.login(), appid=APPID).status == 200
        assert (asked("thirdpartyCode2Session"), asked("code2Session")) == (0, 2)

    @pytest.mark.parametrize("appid", [MERCHANT, COMPONENT, "wxffffffffffffffff"])
    def test_an_app_that_has_not_authorised_is_refused_before_wechat_is_asked(
        self, scene: Scene, api: Api, asked: Asked, appid: str
    ) -> None:
        code = scene.wechat.phone(MERCHANT, NUMBER).login()
        assert api.login(code, appid=appid).problem == NOT_AUTHORIZED
        assert asked("thirdpartyCode2Session") == 0

    @pytest.mark.parametrize("appid", ["", 7, "wx", APPID.upper()])
    def test_what_is_no_appid_is_a_wrong_request(
        self, scene: Scene, api: Api, appid: object
    ) -> None:
        code = scene.wechat.phone(MERCHANT, NUMBER).login()
        assert api.login(code, appid=appid).problem == REJECTED

    def test_a_code_of_another_app_is_rejected_as_for_own_apps(
        self, scene: Scene, api: Api
    ) -> None:
        scene.authorized()
        stranger = scene.authorized(OTHER_MERCHANT)
        assert api.login(stranger.login(), appid=MERCHANT).problem[1] == "login_code_rejected"

    def test_a_refused_component_token_is_replaced_and_the_code_is_not_spent(
        self, scene: Scene, api: Api, asked: Asked, clock: time_machine.Traveller
    ) -> None:
        phone = scene.authorized()
        clock.shift(60)
        scene.wechat.revoke_access_token(COMPONENT)
        assert api.login(phone.login(), appid=MERCHANT).status == 200
        assert asked("getComponentAccessToken") == 2

    def test_a_token_that_does_not_come_spends_no_code(self, scene: Scene, api: Api) -> None:
        phone = scene.authorized()
        scene.deployment.clear("AccessTokens")
        scene.deployment.cold_start()
        scene.wechat.faults.add(Fault("getComponentAccessToken", "drop_after"))
        code = phone.login()
        answer = api.login(code, appid=MERCHANT)
        assert answer.problem == (503, "wechat_unavailable", "retry")
        assert api.login(code, appid=MERCHANT).status == 200


class TestPhoneNumbers:
    def test_a_merchants_user_gets_the_phone_number_once_however_often_it_is_asked(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        phone = scene.authorized()
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        code = phone.tap_phone_number().code
        answers = [api.phone(code, token=token) for _ in range(3)]
        assert [answer.json["purePhoneNumber"] for answer in answers] == [NUMBER] * 3
        assert (asked("getPhoneNumber"), asked("getAuthorizerAccessToken")) == (1, 1)
        assert asked("getStableAccessToken") == 0

    def test_without_a_session_the_client_names_the_app(self, scene: Scene, api: Api) -> None:
        phone = scene.authorized()
        code = phone.tap_phone_number().code
        answer = api.phone(code, key=IDEMPOTENCY_KEY, appid=MERCHANT)
        assert answer.json["purePhoneNumber"] == NUMBER

    def test_open_data_of_a_merchants_user_is_decrypted_and_confirmed_by_wechat(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        phone = scene.authorized()
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        answer = api.decrypt(token=token, **legacy(phone.tap_phone_number()))
        assert answer.json["data"]["purePhoneNumber"] == NUMBER
        assert asked("checkEncryptedData") == 1

    def test_decrypt_logs_a_merchants_user_in_first(self, scene: Scene, api: Api) -> None:
        phone = scene.authorized()
        code = phone.login()
        answer = api.decrypt(code=code, appid=MERCHANT, **legacy(phone.tap_phone_number()))
        assert answer.json["data"]["purePhoneNumber"] == NUMBER
        assert api.session(answer.json["session"]["token"]).status == 200

    def test_a_session_key_is_verified_and_reset_with_the_merchants_token(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        phone = scene.authorized()
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is True
        assert api.logout(token, "?all=true").status == 204
        assert asked("resetUserSessionKey") == 1

    def test_without_permission_set_18_logins_work_and_numbers_are_the_operators_to_mend(
        self, scene: Scene, api: Api
    ) -> None:
        phone = scene.authorized(MERCHANT, 49, 17)
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        answer = api.phone(phone.tap_phone_number().code, token=token)
        assert answer.problem == (500, "misconfigured", "contact_support")

    def test_each_users_failed_decryptions_are_counted_and_refused_after_the_limit(
        self, scene: Scene, api: Api
    ) -> None:
        phone, stranger = scene.authorized(), scene.wechat.phone(MERCHANT)
        scene.deployment.configure(DECRYPT_FAILURES_PER_DAY="2")
        tokens = [api.login(each.login(), appid=MERCHANT).json["token"] for each in (phone, phone)]
        answers = [
            api.decrypt(token=token, **legacy(stranger.tap_phone_number())).problem
            for token in (*tokens, tokens[0])
        ]
        assert answers == [UNDECRYPTABLE, UNDECRYPTABLE, TOO_MANY_FAILURES]
        good = legacy(phone.tap_phone_number())
        assert api.decrypt(token=tokens[1], **good).problem == TOO_MANY_FAILURES
        other = api.login(stranger.login(), appid=MERCHANT).json["token"]
        assert api.decrypt(token=other, **legacy(stranger.tap_phone_number())).status == 200

    def test_the_same_person_has_a_budget_of_their_own_in_each_app(
        self, scene: Scene, api: Api
    ) -> None:
        scene.authorized()
        scene.deployment.configure(DECRYPT_FAILURES_PER_DAY="1")
        at_merchant, own = scene.wechat.phone(MERCHANT), scene.wechat.phone(APPID)
        wrong = legacy(scene.wechat.phone(MERCHANT).tap_phone_number())
        token = api.login(at_merchant.login(), appid=MERCHANT).json["token"]
        assert api.decrypt(token=token, **wrong).problem == UNDECRYPTABLE
        assert api.decrypt(token=token, **wrong).problem == TOO_MANY_FAILURES
        token = api.login(own.login()).json["token"]
        assert api.decrypt(token=token, **legacy(own.tap_phone_number())).status == 200

    def test_an_answer_is_kept_under_the_key_for_the_merchant_alone(
        self, scene: Scene, api: Api, asked: Asked
    ) -> None:
        phone = scene.authorized()
        scene.authorized(OTHER_MERCHANT)
        code = phone.tap_phone_number().code
        answers = [api.phone(code, key=IDEMPOTENCY_KEY, appid=MERCHANT) for _ in range(2)]
        assert [answer.json["purePhoneNumber"] for answer in answers] == [NUMBER] * 2
        assert asked("getPhoneNumber") == 1
        elsewhere = api.phone(code, key=IDEMPOTENCY_KEY, appid=OTHER_MERCHANT)
        assert elsewhere.problem == REJECTED
        by_another = api.phone(code, key=IDEMPOTENCY_KEY[::-1], appid=MERCHANT)
        assert by_another.problem == (422, "phone_code_rejected", "authorize_again")


class TestAccountFunction:
    def test_it_is_asked_about_a_merchants_user_and_told_which_merchants(
        self, scene: Scene, api: Api
    ) -> None:
        phone = scene.authorized()
        asked = scene.deployment.with_account_function(lambda *_: {"accountId": "u-1"})
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        assert api.phone(phone.tap_phone_number().code, token=token).status == 200
        assert api.decrypt(token=token, **legacy(phone.tap_phone_number())).status == 200
        assert [(each["event"], each.get("by")) for each in asked.events] == [
            ("login", None),
            ("phone", "phoneCode"),
            ("phone", "encryptedData"),
        ]
        assert {(each["appid"], each["openid"]) for each in asked.events} == {
            (MERCHANT, phone.openid)
        }
        assert {each.get("purePhoneNumber") for each in asked.events} == {None, NUMBER}
        assert api.introspect(token).json["account_id"] == "u-1"

    def test_a_merchants_user_whom_it_refuses_is_not_logged_in(
        self, scene: Scene, api: Api
    ) -> None:
        phone = scene.authorized()
        scene.deployment.with_account_function(lambda *_: {"refuse": {}})
        answer = api.login(phone.login(), appid=MERCHANT)
        assert answer.problem[1] == "account_refused"
        assert scene.deployment.items("Sessions") == []


class TestWithdrawing:
    def test_it_ends_tokens_sessions_and_logins_within_a_minute(
        self, scene: Scene, api: Api, clock: time_machine.Traveller
    ) -> None:
        phone = scene.authorized()
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        assert api.phone(phone.tap_phone_number().code, token=token).status == 200
        scene.withdrawn()
        tokens = {item["appid"]["S"] for item in scene.deployment.items("AccessTokens")}
        assert tokens == {COMPONENT}
        assert "sealed" not in scene.item(MERCHANT)
        clock.shift(61)
        assert api.session(token).problem[1] == "session_invalid"
        assert api.login(phone.login(), appid=MERCHANT).problem == NOT_AUTHORIZED

    def test_until_then_wechats_own_refusal_says_the_same(self, scene: Scene, api: Api) -> None:
        phone = scene.authorized()
        assert api.login(phone.login(), appid=MERCHANT).status == 200
        scene.platform.withdraw(MERCHANT)  # the event has not come yet
        assert api.login(phone.login(), appid=MERCHANT).problem == NOT_AUTHORIZED

    def test_one_61003_forgets_nothing(self, scene: Scene, api: Api) -> None:
        phone = scene.authorized()
        for endpoint in ("thirdpartyCode2Session", "getAuthorizerAccessToken"):
            scene.wechat.faults.add(Fault(endpoint, "errcode", errcode=61003))
        before = scene.item(MERCHANT)
        assert api.login(phone.login(), appid=MERCHANT).problem == NOT_AUTHORIZED
        token = api.login(phone.login(), appid=MERCHANT).json["token"]
        code = phone.tap_phone_number().code
        assert api.phone(code, token=token).problem == NOT_AUTHORIZED
        assert scene.item(MERCHANT) == before
        scene.deployment.cold_start()
        assert api.phone(code, token=token).status == 200

    def test_who_authorises_again_is_served_again(
        self, scene: Scene, api: Api, clock: time_machine.Traveller
    ) -> None:
        scene.authorized()
        scene.withdrawn()
        clock.shift(5)
        phone = scene.authorized()
        assert api.login(phone.login(), appid=MERCHANT).status == 200
