"""What the layers ship is what the tests ran with."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = {"crypto": {"pycryptodome"}, "auth": {"aws-lambda-powertools", "boto3", "urllib3"}}


def pinned(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lines, re.MULTILINE))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_ships_the_versions_that_the_tests_ran_with(layer: str) -> None:
    tested, shipped = pinned("requirements/dev.txt"), pinned(f"layers/{layer}/requirements.txt")
    assert LAYERS[layer] <= shipped.keys()
    assert {name: tested[name] for name in shipped} == shipped


def test_no_layer_ships_what_would_slow_its_start() -> None:
    shipped = pinned("layers/crypto/requirements.txt") | pinned("layers/auth/requirements.txt")
    assert shipped.keys().isdisjoint({"cffi", "cryptography", "pydantic", "aws-xray-sdk"})
