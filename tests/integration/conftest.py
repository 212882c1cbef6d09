"""One stack for the tests of this folder."""

from tests.harness.fixtures import running_stack

__all__ = ["running_stack"]
