"""The contract by the tools of others: their linters' recommended rules, and typed clients."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from local.stack import Stack
from tests.own_backend.conftest import PYTHON, install_packages

_ROOT = Path(__file__).parents[2]
_CONTRACT = _ROOT / "infra/openapi.yaml"
_CLIENTS = Path(__file__).with_name("clients")
_TOOLS = _CLIENTS / "node_modules/.bin"


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    install_packages(_CLIENTS)


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool, without looking for news of itself."""
    return subprocess.run(  # noqa: S603
        [*map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={
            "PATH": f"{PYTHON.parent}:{Path(shutil.which('node') or '').parent}:/usr/bin:/bin",
            "HOME": str(cwd),
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
    )


def complaints(contract: Path, cwd: Path) -> list[str]:
    """Return the rules of Redocly and Spectral that object."""
    redocly = run(
        _TOOLS / "redocly", "lint", "--extends=recommended", "--format=json", contract, cwd=cwd
    )
    found = [problem["ruleId"] for problem in json.loads(redocly.stdout)["problems"]]
    (cwd / "rules.yaml").write_text('extends: ["spectral:oas"]\n', "utf-8")
    spectral = run(
        _TOOLS / "spectral", "lint", "--quiet", "--format=json", "--fail-severity=hint",
        "--ruleset", "rules.yaml", contract, cwd=cwd,
    )  # fmt: skip
    return found + [each["code"] for each in json.loads(spectral.stdout or "[]")]


def test_linters_have_nothing_to_say_of_the_contract(tmp_path: Path) -> None:
    assert complaints(_CONTRACT, tmp_path) == []


def test_an_operation_without_a_description_is_found(tmp_path: Path) -> None:
    text = _CONTRACT.read_text("utf-8")
    description = "      description: Ends this session, or with"
    assert description in text
    broken = tmp_path / "openapi.yaml"
    broken.write_text(
        text.replace(description, "      x-note: Ends this session, or with"), "utf-8"
    )
    assert complaints(broken, tmp_path) == ["operation-description"]


def test_the_types_that_openapi_typescript_makes_compile_in_what_uses_them(tmp_path: Path) -> None:
    made = run(
        _TOOLS / "openapi-typescript", _CONTRACT, "-o", tmp_path / "schema.d.ts", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    shutil.copy(_CLIENTS / "usage.ts", tmp_path)
    (tmp_path / "node_modules").symlink_to(_CLIENTS / "node_modules")
    compiled = run(
        _TOOLS / "tsc", "--noEmit", "--strict", "--module", "nodenext", "--lib", "es2022,dom",
        "usage.ts", cwd=tmp_path,
    )  # fmt: skip
    assert (compiled.returncode, compiled.stdout) == (0, "")


def test_the_client_that_openapi_python_client_makes_logs_in_and_knows_each_error(
    running_stack: Stack, tmp_path: Path
) -> None:
    made = run(
        PYTHON.with_name("openapi-python-client"), "generate", "--path", _CONTRACT,
        "--meta", "none", "--output-path", tmp_path / "wechat_auth_client", cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "wechat_auth_client/client.py").exists(), made.stdout
    assert "omitted" not in made.stdout + made.stderr
    shutil.copy(_CLIENTS / "usage.py", tmp_path)
    code = running_stack.wechat.phone().login()
    used = run(PYTHON, "usage.py", running_stack.url, code, cwd=tmp_path)
    assert used.stderr == ""
    assert used.stdout.splitlines() == [
        "logged in",
        "login_code_rejected 422 login_again",
        "invalid_request 400 fix_request",
    ]
