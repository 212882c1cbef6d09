"""No item of any table is half of something."""

import time

from local import COMPONENT
from tests.harness.deployment import Deployment
from wechat_auth.platform.table import BUSY_SECONDS

_LEASE = 16  # seconds: none is longer
_IN_PROGRESS = 26  # seconds: as long as POST /phone may take


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
        elif item.keys() != {"id", "expires_at"}:  # the mark of consent withdrawn
            assert item.keys() == {"id", "worker", "in_progress_until", "expires_at"}
            assert float(item["in_progress_until"]["N"]) <= now + _IN_PROGRESS
    for item in deployment.items("Platform"):
        assert float(item.get("busy_until", {"N": "0"})["N"]) <= now + BUSY_SECONDS
        assert ("busy_until" in item) == ("worker" in item)
        if "sealed" in item:
            place = "|".join((deployment.table("Platform"), COMPONENT, item["appid"]["S"]))
            unseal = deployment.backend.secrets.unseal
            assert unseal(item["sealed"]["B"], purpose="platform", context=place)
