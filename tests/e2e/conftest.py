"""One stack for the tests of this folder, all of whose answers must keep to the contract."""

from tests.harness.fixtures import api, running_stack

__all__ = ["api", "running_stack"]
