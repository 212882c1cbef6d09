"""`make build`, but for what SAM CLI does: when it builds, and what it says first."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ".aws-sam/build/complete"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="make build is for Linux and macOS")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the Makefile asks for, older than what it makes."""
    for name in ("Makefile", "template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("requirements", "layers", "functions", ".venv-sam"):
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements/sam.txt").touch()
    return tmp_path


def make(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603
        ["make", *arguments],  # noqa: S607
        cwd=checkout,
        # Of a make around it, this one knows nothing.
        env={name: value for name, value in os.environ.items() if "MAKE" not in name},
        capture_output=True,
        text=True,
        check=False,
    )


def would_build(checkout: Path) -> bool:
    return "sam build" in make(checkout, "--dry-run", "build", "PYTHON313=/bin").stdout


def test_what_is_built_is_not_built_again_until_sam_clears_its_folder(checkout: Path) -> None:
    (checkout / ".venv-sam/installed").touch()
    assert would_build(checkout)
    (checkout / BUILT).parent.mkdir(parents=True)
    (checkout / BUILT).touch()
    assert not would_build(checkout)
    # As `sam build` does first, whoever starts it and whatever becomes of it.
    shutil.rmtree(checkout / ".aws-sam/build")
    assert would_build(checkout)


def test_a_missing_python_3_13_is_said_before_anything_is_installed(checkout: Path) -> None:
    done = make(checkout, "build", "PYTHON313=", "PYTHON=/nowhere/python")
    assert done.returncode
    assert done.stdout == ""
    assert done.stderr.startswith("CPython 3.13, Lambda's, is needed: install it")


def test_the_layers_are_compiled_by_lambdas_python_whichever_one_the_tools_have() -> None:
    done = make(
        ROOT / "layers", "--dry-run", "build-CryptoLayer", "ARTIFACTS_DIR=/x", "PYTHON=python3.11"
    )
    assert "python3.13 -m compileall" in done.stdout
    assert "python3.11" not in done.stdout
