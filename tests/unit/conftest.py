"""What unit tests share: Hypothesis without a deadline, and an AWS account for the scripts."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from moto import mock_aws

# Machines that share their cores stall.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def aws_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for the account that the operator's scripts change."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield
