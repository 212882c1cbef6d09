"""One stack for the fuzz, and everybody's secrets."""

import pytest

from tests.harness.deployment import Deployment
from tests.harness.fixtures import running_stack
from tests.harness.leaks import Secrets
from tests.hostile.fuzz.people import People

__all__ = ["people", "running_stack"]


@pytest.fixture
def people(deployment: Deployment) -> People:
    """Few failures a day, so that one who fails often is refused soon."""
    deployment.configure(DECRYPT_FAILURES_PER_DAY="10")
    return People(deployment.wechat, deployment.stack.url, Secrets())
