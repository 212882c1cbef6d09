"""The simulated WeChat as third-party platforms know it: tickets, tokens, merchants, refusals."""

from typing import Any

import pytest

from local.simulated_wechat import App, SimulatedWeChat, ThirdPartyPlatform

from .wechat_caller import APPID, OTHER_APPID, Caller, Document

COMPONENT = "wxc0ffee0000000001"
PATHS = {
    "token": "/cgi-bin/component/api_component_token",
    "start": "/cgi-bin/component/api_start_push_ticket",
    "pre_auth": "/cgi-bin/component/api_create_preauthcode",
    "query_auth": "/cgi-bin/component/api_query_auth",
    "refresh": "/cgi-bin/component/api_authorizer_token",
    "list": "/cgi-bin/component/api_get_authorizer_list",
}


class Platform:
    """A platform that calls WeChat as its page says."""

    def __init__(self, wechat: SimulatedWeChat, api: Caller) -> None:
        self.wechat = wechat
        self.api = api
        self.page: ThirdPartyPlatform = wechat.set_up_platform(COMPONENT)
        self.ticket = ""
        self.token = ""

    def begin(self) -> None:
        """Get a ticket, and a token for it."""
        self.page.ticket()
        self.ticket = self.page.newest_ticket
        self.token = self.component_token()["component_access_token"]

    def component_token(self, **changes: str) -> Document:
        body = {
            "component_appid": COMPONENT,
            "component_appsecret": self.page.secret,
            "component_verify_ticket": self.ticket,
        }
        return self.api.call("POST", PATHS["token"], body=body | changes)

    def call(self, name: str, **body: Any) -> Document:
        query = {"component_access_token": self.token}
        return self.api.call("POST", PATHS[name], query, {"component_appid": COMPONENT, **body})

    def authorized(self, *permissions: int) -> Document:
        """Let a merchant authorise the platform, and take that up."""
        self.page.authorize(APPID, permissions or (18,))
        code = self.page.authorizations[APPID].code
        info: Document = self.call("query_auth", authorization_code=code)["authorization_info"]
        return info


@pytest.fixture
def platform(wechat: SimulatedWeChat, api: Caller) -> Platform:
    platform = Platform(wechat, api)
    platform.begin()
    return platform


def test_a_component_token_costs_a_ticket_and_the_one_before_works_five_minutes_more(
    platform: Platform,
) -> None:
    first = platform.token
    second = platform.component_token()
    assert second["expires_in"] == 7200
    assert platform.wechat.accepts(first)
    platform.wechat.clock.advance(301)
    assert not platform.wechat.accepts(first)
    assert platform.wechat.accepts(second["component_access_token"])


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"component_appid": ""}, 41018),
        ({"component_appid": APPID}, 61011),
        ({"component_appsecret": "0" * 32}, 40125),
        ({"component_verify_ticket": "ticket@@@x"}, 61006),
    ],
)
def test_what_is_wrong_about_a_component_token_is_said(
    platform: Platform, changes: dict[str, str], errcode: int
) -> None:
    assert platform.component_token(**changes)["errcode"] == errcode


def test_a_ticket_expires_after_twelve_hours(platform: Platform) -> None:
    platform.wechat.clock.advance(12 * 3600)
    assert platform.component_token()["errcode"] == 61005


def test_an_address_that_is_not_listed_is_refused_and_named(platform: Platform) -> None:
    platform.page.addresses = ("192.0.2.1",)
    refused = platform.component_token()
    assert refused["errcode"] == 61004
    assert "requestIP: 127.0.0.1" in refused["errmsg"]


def test_a_merchants_code_works_once_and_for_an_hour(platform: Platform) -> None:
    info = platform.authorized(18, 49)
    assert [each["funcscope_category"]["id"] for each in info["func_info"]] == [18, 49]
    used = platform.page.authorizations[APPID].code
    assert platform.call("query_auth", authorization_code=used)["errcode"] == 61009
    platform.page.authorize(OTHER_APPID)
    late = platform.page.authorizations[OTHER_APPID].code
    platform.wechat.clock.advance(3600)
    platform.token = platform.component_token()["component_access_token"]
    assert platform.call("query_auth", authorization_code=late)["errcode"] == 61010


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token_brings_a_token_and_itself_or_its_successor(
    platform: Platform, rotates: bool
) -> None:
    platform.page.rotates = rotates
    given = platform.authorized()["authorizer_refresh_token"]

    def refresh(token: str) -> Document:
        return platform.call("refresh", authorizer_appid=APPID, authorizer_refresh_token=token)

    first = refresh(given)
    assert (first["authorizer_refresh_token"] == given) is not rotates
    assert refresh("refreshtoken@@@x")["errcode"] == 61023
    assert refresh(given).get("errcode", 0) == (61023 if rotates else 0)


def test_the_list_leaves_out_refresh_tokens_that_were_never_given_out(platform: Platform) -> None:
    platform.authorized()
    platform.page.authorize(OTHER_APPID)
    listed = platform.call("list", offset=0, count=500)
    assert listed["total_count"] == 2
    assert [each["authorizer_appid"] for each in listed["list"]] == [APPID, OTHER_APPID]
    assert ["refresh_token" in each for each in listed["list"]] == [True, False]
    assert platform.call("list", offset=1, count=1)["list"] == listed["list"][1:]
    assert platform.call("list", offset=0, count=501)["errcode"] == 40170
    assert platform.call("list")["errcode"] == 47001


def test_who_has_withdrawn_its_authorisation_is_unknown(platform: Platform) -> None:
    info = platform.authorized()
    token = info["authorizer_refresh_token"]
    platform.page.withdraw(APPID)
    refused = platform.call("refresh", authorizer_appid=APPID, authorizer_refresh_token=token)
    assert refused["errcode"] == 61003
    assert platform.api.phone_number(info["authorizer_access_token"], "x")["errcode"] == 61003


def test_tokens_are_for_the_calls_of_their_kind(platform: Platform) -> None:
    merchants = platform.authorized()["authorizer_access_token"]
    assert platform.api.phone_number(platform.token, "x")["errcode"] == 61015
    platform.token = merchants
    assert platform.call("pre_auth")["errcode"] == 61014


@pytest.mark.parametrize(
    ("granted", "confirmed", "offered", "errcode"),
    [
        ((18,), True, {18}, 0),
        ((49,), True, {18}, 61007),
        ((18,), False, {18}, 61016),
        ((18,), True, {49}, 61017),
    ],
)
def test_a_number_takes_permission_set_18_of_merchant_and_platform(
    platform: Platform, granted: tuple[int, ...], confirmed: bool, offered: set[int], errcode: int
) -> None:
    token = platform.authorized(*granted)["authorizer_access_token"]
    platform.page.authorizations[APPID].confirmed = confirmed
    platform.page.permissions = offered
    code = platform.wechat.phone(APPID).tap_phone_number().code
    assert platform.api.phone_number(token, code)["errcode"] == errcode


def test_a_merchants_user_logs_in_by_the_platforms_token(platform: Platform) -> None:
    platform.authorized()
    phone = platform.wechat.phone(APPID)

    def session(code: str, **changes: str) -> Document:
        query = {
            "appid": APPID,
            "js_code": code,
            "grant_type": "authorization_code",
            "component_appid": COMPONENT,
            "component_access_token": platform.token,
        }
        return platform.api.call("GET", "/sns/component/jscode2session", query | changes)

    code = phone.login()
    assert session(code)["openid"] == phone.openid
    assert session(code)["errcode"] == 40163
    assert session(phone.login(), grant_type="x")["errcode"] == 40002
    assert session(phone.login(), appid=OTHER_APPID)["errcode"] == 61003
    platform.page.authorize(OTHER_APPID)
    assert session(phone.login(), appid=OTHER_APPID)["errcode"] == 40029


class TestPushes:
    """What it pushes by itself; here nobody listens, in tests/third_party the backend does."""

    NOWHERE = "http://127.0.0.1:9"

    def test_a_ticket_is_due_every_ten_minutes_once_there_is_a_url(
        self, platform: Platform
    ) -> None:
        wechat = platform.wechat
        assert wechat.deliver() == []
        platform.page.push.url = self.NOWHERE
        assert [each.attempt for each in wechat.deliver()] == [1]
        assert wechat.deliver() == []
        wechat.clock.advance(600)
        assert sorted(each.attempt for each in wechat.deliver()) == [1, 2]

    def test_after_three_attempts_it_stops_until_it_is_asked_to_go_on(
        self, platform: Platform
    ) -> None:
        wechat = platform.wechat
        platform.page.push.url = self.NOWHERE
        attempts = []
        for _ in range(4):
            attempts += [each.attempt for each in wechat.deliver()]
            wechat.clock.advance(5)
        assert attempts == [1, 2, 3]
        assert not platform.page.pushing
        wechat.clock.advance(600)
        assert wechat.deliver() == []
        body = {"component_appid": COMPONENT, "component_secret": platform.page.secret}
        assert platform.api.call("POST", PATHS["start"], body=body)["errmsg"] == "ok"
        assert [each.attempt for each in wechat.deliver()] == [1]
        wrong = body | {"component_secret": "0" * 32}
        assert platform.api.call("POST", PATHS["start"], body=wrong)["errcode"] == 40125

    def test_pushes_can_be_late_repeated_and_in_the_wrong_order(
        self, wechat: SimulatedWeChat
    ) -> None:
        wechat.message_push().url = self.NOWHERE
        wechat.deliveries.delay, wechat.deliveries.copies = 60, 2
        phone = wechat.phone()
        phone.withdraw()
        wechat.clock.advance(1)
        phone.close_account()
        assert wechat.deliver() == []
        wechat.clock.advance(60)
        wechat.deliveries.newest_first = True
        due = [each.due_at for each in wechat.deliver()]
        assert len(due) == 4
        assert due == sorted(due, reverse=True)

    def test_nothing_is_pushed_to_an_app_without_an_address(self, wechat: SimulatedWeChat) -> None:
        wechat.phone().withdraw()
        wechat.message_push()
        wechat.phone().withdraw()
        assert wechat.deliver() == []

    def test_without_a_platform_nobody_can_authorise_one(self, wechat: SimulatedWeChat) -> None:
        with pytest.raises(ValueError, match="there is no third-party platform"):
            wechat.authorize(APPID)

    def test_a_new_merchant_is_an_app_from_then_on(self, platform: Platform) -> None:
        platform.wechat.authorize("wx0000000000abc010")
        assert App("wx0000000000abc010", "", cloud=True) in platform.wechat.apps
