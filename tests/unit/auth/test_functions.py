"""The house rules that a reader can count on: small handlers, imports that point one way."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HANDLERS = sorted((ROOT / "functions").glob("*/app.py"))
CRYPTO = sorted((ROOT / "layers/crypto/wechat_crypto").rglob("*.py"))
AUTH = sorted((ROOT / "layers/auth/wechat_auth").rglob("*.py"))

PURE = {"base64", "binascii", "collections", "functools", "hashlib", "hmac", "json", "math",
        "secrets", "typing"}  # fmt: skip
"""What of the standard library wechat_crypto may use: no clock, network, file or environment."""
LAYER = {"aws_lambda_powertools", "botocore", "urllib3", "wechat_auth", "wechat_crypto"}
"""What wechat_auth may use beside the standard library."""


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def modules(path: Path) -> Iterator[str]:
    """Name every module that a file imports at run time, wherever in the file."""
    for node in ast.walk(_Running().visit(parse(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)


def packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in modules(path)}


class _Running(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def test_every_function_has_its_handler() -> None:
    assert [path.parent.name for path in HANDLERS] == [
        "authorizer",
        "decrypt",
        "login",
        "phone",
        "refresh_access_token",
        "session",
    ]
    for path in (ROOT / "functions").iterdir():
        assert [each.name for each in path.iterdir() if each.name != "__pycache__"] == ["app.py"]


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_handler_file_is_a_page_at_most(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 60


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_handler_file_defines_the_handler_and_prepares_it_and_nothing_else(path: Path) -> None:
    imports = (ast.Import, ast.ImportFrom)

    docstring, handler, *rest = (node for node in parse(path).body if not isinstance(node, imports))

    assert isinstance(docstring, ast.Expr)
    assert isinstance(handler, ast.FunctionDef)
    assert handler.name == "handler"
    prepared = [] if path.parent.name == "refresh_access_token" else ["services.prepare"]
    assert [ast.unparse(node).partition("(")[0] for node in rest] == prepared


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_function_imports_wechat_auth_and_nothing_else(path: Path) -> None:
    assert packages(path) - {"typing"} == {"wechat_auth"}


@pytest.mark.parametrize("path", CRYPTO, ids=shown)
def test_wechat_crypto_is_pure(path: Path) -> None:
    assert packages(path) <= PURE | {"Crypto", "wechat_crypto"}


@pytest.mark.parametrize("path", CRYPTO, ids=shown)
def test_wechat_crypto_loads_of_pycryptodome_only_the_ciphers(path: Path) -> None:
    assert {name for name in modules(path) if name.startswith("Crypto")} <= {"Crypto.Cipher"}


@pytest.mark.parametrize("path", AUTH, ids=shown)
def test_wechat_auth_imports_what_is_deployed_with_it(path: Path) -> None:
    foreign = packages(path) - set(sys.stdlib_module_names)

    assert foreign <= LAYER


@pytest.mark.parametrize("path", AUTH, ids=shown)
def test_wechat_auth_uses_of_wechat_crypto_what_it_exports(path: Path) -> None:
    assert {name for name in modules(path) if name.startswith("wechat_crypto")} <= {"wechat_crypto"}


def test_only_settings_reads_the_environment() -> None:
    assert [path.name for path in AUTH if "os" in packages(path)] == ["settings.py"]


@pytest.mark.parametrize("path", [*HANDLERS, *CRYPTO, *AUTH], ids=shown)
def test_nothing_deployed_knows_that_tests_or_a_local_run_exist(path: Path) -> None:
    assert packages(path).isdisjoint({"infra", "tests", "moto", "pytest", "boto3_stubs"})


def test_loading_the_functions_makes_nothing_that_a_snapshot_must_not_keep() -> None:
    # SnapStart: many wake from one. No client, connection, secret or token before that.
    program = """
import runpy, sys
kept = []
sys.addaudithook(lambda event, args: kept.append(event) if event == "socket.connect" else None)
for path in sys.argv[1:]:
    runpy.run_path(path)
for module in list(sys.modules.values()):
    if module.__name__.startswith("wechat_auth"):
        for name, value in vars(module).items():
            if hasattr(value, "cache_info") and value.cache_info().currsize:
                kept.append(f"{module.__name__}.{name}")
print(kept)
"""
    layers = [str(ROOT / "layers/crypto"), str(ROOT / "layers/auth")]
    loaded = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *map(str, HANDLERS)],
        env={"PYTHONPATH": os.pathsep.join(layers)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout == "[]\n"


def test_chance_comes_from_the_system_where_a_snapshot_would_copy_a_seed() -> None:
    attributes = {
        ast.unparse(node)
        for path in AUTH
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
    }
    assert {name for name in attributes if name.startswith("random.")} == {"random.SystemRandom"}
