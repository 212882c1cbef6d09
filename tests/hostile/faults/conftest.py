"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from tests.harness.engine import engine
from tests.harness.fixtures import api, no_secret_is_written
from tests.harness.fixtures import stack_with_platform as running_stack
from tests.harness.fixtures import without_platform as deployment

__all__ = ["api", "deployment", "engine", "no_secret_is_written", "running_stack"]
