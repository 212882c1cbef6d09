"""With an edge before it, the API serves what comes through it and nothing else."""

import hashlib

import pytest

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Api
from tests.harness.deployment import Deployment

SECRET = "5ec7e7" * 8
WRONG_ADDRESS = (403, "wrong_address", "fix_request")


@pytest.fixture(autouse=True)
def edge(deployment: Deployment) -> None:
    deployment.configure(ORIGIN_SECRET_SHA256=hashlib.sha256(SECRET.encode()).hexdigest())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/login"), ("POST", "/phone"), ("POST", "/decrypt"), ("GET", "/session"),
     ("DELETE", "/session")],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, {"X-Origin-Secret": SECRET[::-1]}], ids=["none", "wrong"])
def test_who_passes_it_by_is_refused_before_anything_is_asked(
    api: Api, wechat: SimulatedWeChat, method: str, path: str, headers: dict[str, str]
) -> None:
    before = wechat.counts()
    answer = api.request(method, path, {"code": "0a1b2c"}, token="any", headers=headers)
    assert answer.problem == WRONG_ADDRESS
    assert wechat.counts() == before


def test_who_comes_through_it_is_served(api: Api, phone: Phone) -> None:
    through = {"X-Origin-Secret": SECRET}
    answer = api.request("POST", "/login", {"code": phone.login()}, headers=through)
    assert answer.status == 200
    token = answer.json["token"]
    assert api.request("GET", "/session", token=token, headers=through).status == 200
