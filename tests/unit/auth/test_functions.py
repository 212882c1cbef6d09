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

PURE = {"base64", "binascii", "collections", "dataclasses", "datetime", "functools", "hashlib",
        "hmac", "json", "math", "re", "secrets", "typing", "xml"}  # fmt: skip
"""What of the standard library wechat_crypto may use: no clock, network, file or environment."""
OF_API_SECURITY = {
    "api_keys.py": {"Crypto.PublicKey", "Crypto.Util.asn1"},
    "api_security.py": {"Crypto.Cipher", "Crypto.Hash", "Crypto.Signature"},
}
"""What more of pycryptodome is loaded for apps with API security."""
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


def imported_modules(path: Path, package: str) -> Iterator[str]:
    """Name the modules of a package that a file imports, as `from package import module` too."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
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
        "access_token",
        "authorizer",
        "decrypt",
        "end_sessions",
        "introspect",
        "login",
        "merchants",
        "phone",
        "platform_events",
        "refresh_access_token",
        "session",
        "user_events",
        "wechat_push",
    ]
    for path in (ROOT / "functions").iterdir():
        assert [each.name for each in path.iterdir() if each.name != "__pycache__"] == ["app.py"]


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_handler_file_is_a_page_at_most(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 40


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_handler_file_defines_the_handler_and_prepares_it_and_nothing_else(path: Path) -> None:
    imports = (ast.Import, ast.ImportFrom)

    docstring, handler, *rest = (node for node in parse(path).body if not isinstance(node, imports))

    assert isinstance(docstring, ast.Expr)
    assert isinstance(handler, ast.FunctionDef)
    assert handler.name == "handler"
    nobody_waits = {
        "merchants",
        "refresh_access_token",
        "platform_events",
        "user_events",
        "wechat_push",
    }
    prepared = [] if path.parent.name in nobody_waits else ["prepare"]
    assert [ast.unparse(node).partition("(")[0] for node in rest] == prepared


@pytest.mark.parametrize("path", HANDLERS, ids=shown)
def test_a_function_imports_wechat_auth_and_nothing_else(path: Path) -> None:
    assert packages(path) - {"typing"} == {"wechat_auth"}


@pytest.mark.parametrize("path", CRYPTO, ids=shown)
def test_wechat_crypto_is_pure(path: Path) -> None:
    assert packages(path) <= PURE | {"Crypto", "wechat_crypto"}


@pytest.mark.parametrize("path", CRYPTO, ids=shown)
def test_wechat_crypto_loads_of_pycryptodome_only_the_ciphers(path: Path) -> None:
    allowed = OF_API_SECURITY.get(path.name, {"Crypto.Cipher"})
    assert {name for name in modules(path) if name.startswith("Crypto")} <= allowed


@pytest.mark.parametrize("path", AUTH, ids=shown)
def test_wechat_auth_imports_what_is_deployed_with_it(path: Path) -> None:
    foreign = packages(path) - set(sys.stdlib_module_names)

    assert foreign <= LAYER


@pytest.mark.parametrize("path", AUTH, ids=shown)
def test_wechat_auth_uses_of_wechat_crypto_what_it_exports(path: Path) -> None:
    assert {name for name in modules(path) if name.startswith("wechat_crypto")} <= {"wechat_crypto"}


FLOORS = (
    {"http"},
    {"backend"},
    {"platform.authorizations", "platform.pushes"},
    {"login", "phone", "open_data", "session_key", "introspection", "pushes"},
    {"user_events"},
    {"fields", "platform.platform"},
    {"account", "tokens.access_tokens", "platform.sources"},
    {"tokens.table", "tokens.sources"},
    {"sessions", "phone_records", "platform.table"},
    {"failure_budget", "platform.calls"},
    {"secret_store"},
    {"storage", "wechat", "codes", "app_secrets", "mistakes"},
    {"secured_calls"},
    {"connections", "invocation", "settings", "apps"},
    {"errors"},
)
"""The modules of wechat_auth, from the roof to the cellar."""


def room(path: Path) -> str:
    """Name a module of wechat_auth as it is imported, without the package's name."""
    parts = path.relative_to(ROOT / "layers/auth/wechat_auth").with_suffix("").parts
    return ".".join(parts)


ROOMS = {room(path): path for path in AUTH if path.name != "__init__.py"}


def test_every_module_of_wechat_auth_has_a_floor() -> None:
    assert sorted(ROOMS) == sorted(each for floor in FLOORS for each in floor)


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_a_module_imports_only_from_the_floors_below(name: str) -> None:
    own = next(number for number, floor in enumerate(FLOORS) if name in floor)
    below = {each for floor in FLOORS[own + 1 :] for each in floor}
    imported = {
        module.removeprefix("wechat_auth.")
        for module in imported_modules(ROOMS[name], "wechat_auth")
    }
    assert imported <= below


def test_the_packages_map_names_every_module() -> None:
    map_ = str(ast.get_docstring(parse(ROOT / "layers/auth/wechat_auth/__init__.py")))
    assert [name for name in ROOMS if f"``{name}``" not in map_] == []


def test_only_settings_reads_the_environment() -> None:
    assert [path.name for path in AUTH if "os" in packages(path)] == ["settings.py"]


@pytest.mark.parametrize("path", [*HANDLERS, *CRYPTO, *AUTH], ids=shown)
def test_nothing_deployed_knows_that_tests_or_a_local_run_exist(path: Path) -> None:
    assert packages(path).isdisjoint(
        {"infra", "local", "bench", "tests", "moto", "pytest", "boto3_stubs"}
    )


def said_with_the_handlers(program: str) -> str:
    """Return what a program prints in a Python of its own; its arguments are all handlers."""
    paths = [str(ROOT), str(ROOT / "layers/crypto"), str(ROOT / "layers/auth")]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *map(str, HANDLERS)],
        env={"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_loading_the_functions_makes_nothing_that_a_snapshot_must_not_keep() -> None:
    # SnapStart: many wake from one. No client, connection, secret or token before that.
    program = """
import runpy, sys
kept = []
sys.addaudithook(lambda event, args: kept.append(event) if event == "socket.connect" else None)
for path in sys.argv[1:]:
    runpy.run_path(path)
from wechat_auth.backend import backend
print(kept, backend.cache_info().currsize)
"""
    assert said_with_the_handlers(program) == "[] 0\n"


def test_nothing_of_api_security_is_loaded_for_apps_without_it() -> None:
    program = """
import runpy, sys
for path in sys.argv[1:]:
    runpy.run_path(path)
from types import SimpleNamespace
from wechat_auth.backend import Backend
from wechat_auth.settings import Settings
aws = SimpleNamespace(secret_text=lambda _: '{"wx0123456789abcdef":"secret"}')
from tests.harness.settings import REQUIRED
print(Backend(Settings.from_env(REQUIRED), aws=aws).envelope("wx0123456789abcdef"))
of_it = ("wechat_crypto.api_", "wechat_auth.secured", "Crypto.PublicKey", "Crypto.Signature")
print([name for name in sys.modules if name.startswith(of_it)])
"""
    assert said_with_the_handlers(program) == "None\n[]\n"


def test_nothing_of_a_third_party_platform_is_loaded_without_one() -> None:
    program = """
import runpy, sys
for path in sys.argv[1:]:
    if "platform_events" not in path and "merchants" not in path:
        runpy.run_path(path)
from wechat_auth.backend import Backend
from wechat_auth.settings import Settings
from tests.harness.settings import REQUIRED
backend = Backend(Settings.from_env(REQUIRED))
print(backend.platform, backend.look_after_platform(), backend.platform_of("wxfedcba9876543210"))
print([name for name in sys.modules if name.startswith("wechat_auth.platform")])
"""
    assert said_with_the_handlers(program) == "None {} None\n[]\n"


def test_the_backend_is_all_that_an_environment_keeps() -> None:
    cached = [
        f"{room(path)}.{node.name}"
        for path in AUTH
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef)
        and {"cache", "lru_cache"} & {ast.unparse(each) for each in node.decorator_list}
    ]
    assert cached == ["backend.backend"]


def test_chance_comes_from_the_system_where_a_snapshot_would_copy_a_seed() -> None:
    attributes = {
        ast.unparse(node)
        for path in AUTH
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
    }
    assert {name for name in attributes if name.startswith("random.")} == {"random.SystemRandom"}
