"""A simulated WeChat with two mini-programs, and somebody who calls it."""

from collections.abc import Iterator

import pytest

from local.simulated_wechat import SimulatedWeChat

from .wechat_caller import Caller, calling, two_apps


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return two_apps()


@pytest.fixture
def api(wechat: SimulatedWeChat) -> Iterator[Caller]:
    with calling(wechat) as caller:
        yield caller
