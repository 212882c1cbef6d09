"""One DynamoDB engine for the tests of this folder."""

from tests.harness.engine import engine

__all__ = ["engine"]
