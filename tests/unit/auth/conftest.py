"""Functions' environment, and what they write: log lines and metrics."""

import io
import json
from collections.abc import Iterator

import pytest

from wechat_auth import invocation

from .calling import Lines


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "WeChatAuth")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "wechat-auth")


@pytest.fixture
def log() -> Iterator[Lines]:
    """Return the log lines written so far, as CloudWatch would get them."""
    written = io.StringIO()
    handler = invocation.logger.registered_handler
    before = handler.setStream(written)  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    handler.setStream(before)  # type: ignore[attr-defined]


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return the metrics published since the last look, one object per EMF line."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
