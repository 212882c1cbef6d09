"""No item of any table is half of something."""

import time

from tests.harness.backend import Backend
from wechat_auth import services

_LEASE = 16  # seconds: none is longer
_IN_PROGRESS = 21  # seconds: as long as POST /phone may take


def assert_nothing_is_half_written(backend: Backend) -> None:
    """Hold every item of every table against what a finished write leaves, or one under way."""
    backend.cold_start()
    now = time.time()
    sessions = services.sessions()
    for item in backend.items("Sessions"):
        if item["session"]["S"] == "~failures":
            assert item.keys() == {"user", "session", "failures", "day", "expires_at"}
        else:
            assert sessions._open(item["user"]["B"], item) is not None
    for item in backend.items("AccessTokens"):
        assert float(item.get("lease_until", {"N": "0"})["N"]) <= now + _LEASE
        assert ("sealed" in item) == ("token_expires_at" in item)
    for item in backend.items("PhoneExchanges"):
        if item["status"]["S"] == "COMPLETED":
            assert "data" in item
        else:
            assert item["status"]["S"] == "INPROGRESS"
            assert float(item["in_progress_expiration"]["N"]) / 1000 <= now + _IN_PROGRESS
