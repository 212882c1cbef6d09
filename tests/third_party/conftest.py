"""A stack that serves an own app and the merchants of a third-party platform, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local import COMPONENT
from local.simulated_wechat import App, Phone, Pushed, SimulatedWeChat, ThirdPartyPlatform
from local.stack import app_secrets, save_addresses
from tests.harness.deployment import Deployment
from tests.harness.fixtures import no_secret_is_written
from tests.harness.fixtures import stack_with_platform as running_stack

__all__ = ["no_secret_is_written", "running_stack"]

MERCHANT = "wx0000000000abc010"
OTHER_MERCHANT = "wx0000000000abc020"
NUMBER = "13800138000"
OK = (200, "success")


@dataclass(frozen=True, slots=True)
class Scene:
    """A platform, its deployment, and what WeChat tells it."""

    deployment: Deployment
    platform: ThirdPartyPlatform

    @property
    def wechat(self) -> SimulatedWeChat:
        return self.deployment.wechat

    def push(self, pushed: Pushed) -> tuple[int, str]:
        """Push to the URL for authorisation events."""
        return self.deployment.push(pushed, COMPONENT)

    def authorized(self, appid: str = MERCHANT, *permissions: int) -> Phone:
        """Let a merchant authorise the platform, and return the phone of a user of it."""
        assert self.push(self.platform.authorize(appid, permissions or (18,))) == OK
        assert self.deployment.stack.queues.work_off() == 1
        return self.wechat.phone(appid, NUMBER)

    def withdrawn(self, appid: str = MERCHANT) -> None:
        """Let a merchant withdraw its authorisation."""
        assert self.push(self.platform.withdraw(appid)) == OK
        assert self.deployment.stack.queues.work_off() == 1

    def schedule(self) -> dict[str, str]:
        """Let the schedule run, and return what it did."""
        outcome: dict[str, str] = self.deployment.stack.invoke("refresh_access_token", {})
        return outcome

    def item(self, appid: str) -> dict[str, dict[str, str]]:
        """Return what the Platform table holds of an appid."""
        (item,) = (i for i in self.deployment.items("Platform") if i["appid"]["S"] == appid)
        return item


@pytest.fixture
def new(deployment: Deployment) -> Iterator[Scene]:
    """A platform that has had no ticket yet, whose merchants have authorised nothing."""
    wechat = deployment.wechat
    platform = wechat.set_up_platform(COMPONENT)
    own = wechat.apps[0]
    for appid in (MERCHANT, OTHER_MERCHANT):
        wechat.put_app(App(appid, "", cloud=True))
    save_addresses(wechat, deployment.stack.url)
    deployment.put_secret("AppSecrets", app_secrets(wechat))
    deployment.configure(WECHAT_APPIDS=own.appid)
    yield Scene(deployment, platform)
    wechat.remove_platform()
    wechat.clock.advance(-wechat.clock.offset)
    wechat.deliveries.copies, wechat.deliveries.newest_first = 1, False


@pytest.fixture
def scene(new: Scene) -> Scene:
    """A platform with a ticket."""
    assert new.push(new.platform.ticket()) == OK
    return new
