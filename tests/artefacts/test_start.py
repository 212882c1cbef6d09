"""What makes a function start and answer slowly, counted rather than timed.

A new import, or a tenth more instructions, fails here until `make record` accepts it: look at the
difference that it makes in budgets.json.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import budgets
from bench.artefacts import Artefact
from bench.budgets import Built

TENTH = 0.1
NOWHERE = {
    *("boto3", "s3transfer", "pydantic", "requests", "aws_xray_sdk", "cryptography", "cffi"),
    *("unittest", "asyncio", "multiprocessing"),
}


@pytest.fixture(scope="module")
def functions(built: Path, python: str) -> Iterator[Built]:
    with budgets.built(python) as functions:
        yield functions


@pytest.fixture(scope="module")
def imports(functions: Built) -> dict[str, list[str]]:
    return functions.imports()


def test_init_loads_the_budgets_modules_and_no_other(imports: dict[str, list[str]]) -> None:
    assert imports == budgets.read()["imports"], "if it is meant: make record"


def test_what_costs_much_is_loaded_nowhere(imports: dict[str, list[str]]) -> None:
    for name, modules in imports.items():
        assert {module.partition(".")[0] for module in modules} & NOWHERE == set(), name


def test_an_import_that_was_added_is_seen(functions: Built, tmp_path: Path) -> None:
    added = Built(functions.bench, {"login": changed(functions, tmp_path, "import asyncio")})
    assert "asyncio" in set(added.imports()["login"]) - set(budgets.read()["imports"]["login"])


@pytest.mark.timeout(600)
def test_a_warm_request_executes_the_budgets_instructions(functions: Built) -> None:
    if not budgets.valgrind():
        assert os.environ.get("CI") != "true", "valgrind is needed: apt install valgrind"
        pytest.skip("instructions were NOT counted: apt install valgrind")
    expected = budgets.read()["instructions"]
    for name, counted in functions.instructions().items():
        assert counted == pytest.approx(expected[name], rel=TENTH), "if it is meant: make record"


@pytest.mark.timeout(600)
@pytest.mark.skipif(not budgets.valgrind(), reason="valgrind is missing")
def test_work_that_was_added_is_seen(functions: Built, tmp_path: Path) -> None:
    slower = """
import json
def handler(event, context, answer=handler):
    for _ in range(40):
        json.loads(json.dumps(event))
    return answer(event, context)
"""
    before = functions.bench.instructions(functions.functions["login"])
    after = functions.bench.instructions(changed(functions, tmp_path, slower))
    assert after > before * (1 + TENTH)


def changed(functions: Built, folder: Path, more: str) -> Artefact:
    """Return the login with more in its source."""
    login = functions.functions["login"]
    (folder / "app.py").write_text((login.code / "app.py").read_text("utf-8") + more, "utf-8")
    return replace(login, code=folder)
