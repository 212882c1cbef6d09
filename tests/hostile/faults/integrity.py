"""No item of any table is half of something, and nothing that is written tells a secret."""

import time
from collections.abc import Iterator

from local.simulated_wechat import SimulatedWeChat
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.leaks import Secrets

_LEASE = 16  # seconds: none is longer
_IN_PROGRESS = 21  # seconds: as long as POST /phone may take
_secrets = Secrets()  # for all tests: what one was given must not turn up in another


def assert_nothing_is_half_written(deployment: Deployment) -> None:
    """Hold every item of every table against what a finished write leaves, or one under way."""
    deployment.cold_start()
    now, table = time.time(), deployment.table("Sessions")
    for item in deployment.items("Sessions"):
        if item["session"]["S"] == "~failures":
            always = {"user", "session", "failures", "questions", "day", "expires_at"}
            assert item.keys() - {"vouched"} == always
        else:
            where = (item["user"]["B"].hex(), item["session"]["S"], item["expires_at"]["N"])
            place = "|".join((table, *where))
            unseal = deployment.backend.secrets.unseal
            assert unseal(item["sealed"]["B"], purpose="session", context=place)
    for item in deployment.items("AccessTokens"):
        assert float(item.get("lease_until", {"N": "0"})["N"]) <= now + _LEASE
        assert ("sealed" in item) == ("token_expires_at" in item)
    for item in deployment.items("PhoneExchanges"):
        if "sealed" in item:
            assert item.keys() == {"id", "sealed", "expires_at"}
        else:
            assert item.keys() == {"id", "worker", "in_progress_until", "expires_at"}
            assert float(item["in_progress_until"]["N"]) <= now + _IN_PROGRESS


def leaks_in(text: str, deployment: Deployment, api: Api | None = None) -> list[str]:
    """Name the kinds of secrets and personal data that are in a text."""
    known = list(_of_wechat(deployment.wechat))
    known += [
        ("key", key) for name, key in deployment.secret("KeyRing").items() if name != "current"
    ]
    known += [
        ("session token", answer.json["token"])
        for answer in (api.answers if api else ())
        if answer.path == "/login" and answer.status == 200
    ]
    for what, value in known:
        if value:
            _secrets.note(what, value)
    return _secrets.found_in(text)


def _of_wechat(wechat: SimulatedWeChat) -> Iterator[tuple[str, str | None]]:
    yield from (("AppSecret", app.secret) for app in wechat.apps)
    yield from (("code", code) for code in wechat.billed.arrivals)
    yield from (("access_token", token) for token in wechat.access_tokens)
    for person in wechat.people:
        yield "openid", person.openid
        yield "unionid", person.unionid
        yield "session_key", person.session_key
        yield "phone number", person.number
