"""What `make build` left behind; `make test-build` builds first."""

import shutil
from pathlib import Path

import pytest

from local.emulator import BUILT


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built artefacts."""
    assert BUILT.is_file(), "nothing is built: run `make test-build`"
    return BUILT.parent


@pytest.fixture(scope="session")
def python() -> str:
    """CPython 3.13, as in Lambda."""
    found = shutil.which("python3.13")
    assert found, "python3.13 is not on PATH: run `make test-build`"
    return found
