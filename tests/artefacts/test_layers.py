"""The layers as they are deployed."""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from local.emulator import ROOT

LAYERS = {"CryptoLayer": "crypto", "AuthLayer": "auth"}
MIB = 1024 * 1024
BUDGETS = {"CryptoLayer": 4 * MIB, "AuthLayer": 7 * MIB}
MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine of an ELF file: EM_X86_64, EM_AARCH64."""

each_layer = pytest.mark.parametrize("layer", LAYERS)

IMPORT_ALL = """
import importlib, importlib.util, pathlib, sys
assert sys.version_info[:2] == (3, 13)
sys.path[:0] = sys.argv[1:]
for folder in map(pathlib.Path, sys.argv[1:]):
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        importlib.import_module(module.removesuffix(".__init__"))
assert not {"cffi", "cryptography", "pydantic", "awscrt"} & sys.modules.keys()
assert importlib.util.find_spec("cffi") is importlib.util.find_spec("cryptography") is None
"""

CHECK_BYTECODE = """
import importlib.util, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    compiled = pathlib.Path(importlib.util.cache_from_source(path)).read_bytes()
    unchecked_hash = b"\\1\\0\\0\\0"
    source_hash = importlib.util.source_hash(path.read_bytes())
    assert compiled[:16] == importlib.util.MAGIC_NUMBER + unchecked_hash + source_hash, path
"""


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sources, built once more."""
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(  # noqa: S603
        [ROOT / ".venv-sam/bin/sam", "build", "--build-dir", folder],
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"},
        check=True,
        capture_output=True,
    )
    return folder


def test_every_module_imports_from_a_read_only_folder_and_needs_nothing_else(
    built: Path, python: str
) -> None:
    before = digests(built)
    layers = [built / layer / "python" for layer in LAYERS]
    run(python, IMPORT_ALL, *layers)
    assert digests(built) == before


@each_layer
def test_every_source_has_its_bytecode_which_is_taken_without_a_look_at_the_source(
    built: Path, python: str, layer: str
) -> None:
    run(python, CHECK_BYTECODE, built / layer / "python")


@each_layer
def test_no_bytecode_is_without_its_source(built: Path, layer: str) -> None:
    compiled = {
        path.parents[1] / path.name.partition(".")[0] for path in files(built, layer, "pyc")
    }
    assert compiled == {path.with_suffix("") for path in files(built, layer, "py")}


@each_layer
def test_there_is_nothing_that_no_function_reads(built: Path, layer: str) -> None:
    names = {str(path.relative_to(built / layer / "python")) for path in files(built, layer)}
    assert {name.rpartition(".")[2] for name in names} <= {"py", "pyc", "so", "json", "gz", "pem"}
    assert [name for name in names if re.search(r"(^|/)(tests?|SelfTest|.*-info|bin)/", name)] == []
    data = {name.split("/")[2] for name in names if name.startswith("botocore/data/")}
    services = {"dynamodb", "lambda", "secretsmanager", "sqs"}
    assert {name for name in data if not name.endswith(".json")} <= services


def test_our_own_packages_are_whole(built: Path) -> None:
    for layer, folder in LAYERS.items():
        package = f"wechat_{folder}"
        sources = (ROOT / "layers" / folder / package).rglob("*.py")
        assert {
            path.relative_to(ROOT / "layers" / folder): path.read_bytes() for path in sources
        } == {
            path.relative_to(built / layer / "python"): path.read_bytes()
            for path in files(built, layer, "py")
            if path.is_relative_to(built / layer / "python" / package)
        }


def test_native_code_is_there_for_both_architectures_under_the_suffix_of_each(built: Path) -> None:
    libraries = files(built, "CryptoLayer", "so")
    names: dict[str, set[str]] = {machine: set() for machine in MACHINES}
    for library in libraries:
        name, _, suffix = library.name.partition(".")
        machine = suffix.removeprefix("cpython-313-").removesuffix("-linux-gnu.so")
        names[machine].add(name)
        header = library.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", header, 18) == (MACHINES[machine],), library
    assert names["x86_64"] - names["aarch64"] == {
        "_raw_aesni", "_ghash_clmul", "_SHA256_shani", "_nat_bmi2_adx",
    }  # fmt: skip
    assert names["aarch64"] - names["x86_64"] == {
        "_raw_aes_armv8", "_ghash_pmull", "_SHA256_armv8",
    }  # fmt: skip
    assert files(built, "AuthLayer", "so") == []


@pytest.mark.skipif(not shutil.which("llvm-strip"), reason="llvm-strip (package llvm) is missing")
def test_native_code_is_stripped(built: Path) -> None:
    libraries = files(built, "CryptoLayer", "so")
    assert libraries
    assert [each.name for each in libraries if b".debug_info" in each.read_bytes()] == []
    assert [each.name for each in libraries if b".symtab" in each.read_bytes()] == []


@each_layer
def test_a_layer_keeps_within_its_budget(built: Path, layer: str) -> None:
    assert sum(path.stat().st_size for path in files(built, layer)) <= BUDGETS[layer]


def test_the_same_sources_make_the_same_bytes(built: Path, rebuilt: Path) -> None:
    assert digests(rebuilt) == digests(built)


@each_layer
def test_a_bill_of_materials_names_what_the_requirements_pin(built: Path, layer: str) -> None:
    bill = json.loads((built / f"{LAYERS[layer]}.cdx.json").read_text("utf-8"))
    text = (ROOT / "layers" / LAYERS[layer] / "requirements.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    assert bill["bomFormat"] == "CycloneDX"
    components = bill["components"]
    assert {(each["name"].replace("_", "-"), each["version"]) for each in components} == pinned
    assert [each["name"] for each in components if not each.get("licenses")] == []


def test_a_function_is_its_one_source(built: Path) -> None:
    folders = sorted(path for path in built.iterdir() if path.name.endswith("Function"))
    assert len(folders) == len(list((ROOT / "functions").glob("*/app.py")))
    for folder in folders:
        assert [path.name for path in folder.iterdir()] == ["app.py"]


def test_without_python_3_13_the_build_ends_with_a_remedy_in_one_line(tmp_path: Path) -> None:
    makefile = str(ROOT / "layers/Makefile")
    command = ["make", "-f", makefile, "build-AuthLayer", "LAMBDA_PYTHON=no-python"]
    built = subprocess.run(  # noqa: S603
        [*command, f"ARTIFACTS_DIR={tmp_path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode
    [remedy] = [line for line in built.stderr.splitlines() if "CPython" in line]
    assert "install CPython 3.13" in remedy


def files(built: Path, layer: str, suffix: str = "*") -> list[Path]:
    return [path for path in (built / layer).rglob(f"*.{suffix}") if path.is_file()]


def digests(built: Path) -> dict[Path, str]:
    return {
        path.relative_to(built): hashlib.sha256(path.read_bytes()).hexdigest()
        for layer in LAYERS
        for path in files(built, layer)
    }


def run(python: str, program: str, *arguments: Path) -> None:
    """Run a program without site-packages, environment or current folder."""
    command = [python, "-I", "-S", "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
