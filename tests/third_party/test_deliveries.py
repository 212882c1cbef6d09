"""What WeChat pushes by itself, on its own clock, and what becomes of it here."""

import time

import pytest

from local import APPID, COMPONENT
from tests.harness.api import Api
from tests.harness.deployment import Asked
from tests.third_party.conftest import MERCHANT, NUMBER, Scene


def test_tickets_come_every_ten_minutes_and_the_newest_is_kept(new: Scene) -> None:
    kept = []
    for _ in range(3):
        assert [each.is_heard for each in new.wechat.deliver()] == [True]
        kept.append(int(new.item(COMPONENT)["changed_at"]["N"]))
        new.wechat.clock.advance(600)
    assert [round((each - kept[0]) / 600, 1) for each in kept] == [0, 1, 2]


def test_a_merchant_authorises_the_platform_and_its_users_log_in(
    new: Scene, api: Api, asked: Asked
) -> None:
    new.wechat.authorize(MERCHANT)
    assert [each.is_heard for each in new.wechat.deliver()] == [True, True]
    assert new.deployment.stack.queues.work_off() == 1
    phone = new.wechat.phone(MERCHANT, NUMBER)
    assert api.login(phone.login(), appid=MERCHANT).status == 200
    assert asked("getAuthorizerRefreshToken") == 1


@pytest.mark.parametrize("appid", [APPID, MERCHANT])
def test_users_who_close_their_account_are_logged_out_however_the_pushes_come(
    new: Scene, api: Api, appid: str
) -> None:
    scene, wechat = new, new.wechat
    wechat.authorize(MERCHANT)
    wechat.deliver()
    scene.deployment.stack.queues.work_off()
    phone = wechat.phone(appid, NUMBER)
    token = api.login(phone.login(), appid=appid).json["token"]
    wechat.clock.advance(1)
    wechat.deliveries.copies, wechat.deliveries.newest_first = 3, True
    phone.withdraw()
    phone.close_account()
    assert [each.is_heard for each in wechat.deliver()] == [True] * 6
    assert scene.deployment.stack.queues.work_off() == 6
    assert api.session(token).problem[1] == "session_invalid"


def test_a_stack_that_is_alive_does_all_that_by_itself(new: Scene, api: Api) -> None:
    new.wechat.authorize(MERCHANT)
    code, until = new.wechat.phone(MERCHANT, NUMBER).login(), time.monotonic() + 20
    with new.deployment.stack.alive():
        while (answer := api.login(code, appid=MERCHANT)).status != 200:
            assert answer.problem[1] == "app_not_authorized"
            assert time.monotonic() < until
    assert answer.json["token"]
