"""Who may import whom among the houses beside the functions."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOUSES = ("functions", "layers", "infra", "local", "bench", "docs", "tests")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, module: str) -> Iterator[str]:
    """Name what a file imports anywhere in it, `from package import module` included."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def graph(folder: str) -> dict[str, set[str]]:
    """Return what each module of a house imports of the same house."""
    files = {module_of(path): path for path in (ROOT / folder).rglob("*.py")}
    return {
        module: {name for name in imported(path, module) if name in files and name != module}
        # A package is loaded before its modules, which therefore need not name it.
        - {module.rpartition(".")[0]}
        for module, path in files.items()
    }


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def houses_of(folder: str) -> set[str]:
    """Return which other houses the files of one import."""
    packages = {"wechat_auth": "layers", "wechat_crypto": "layers"}
    firsts = {
        name.partition(".")[0]
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path, module_of(path))
    }
    return {packages.get(first, first) for first in firsts} & set(HOUSES) - {folder}


@pytest.mark.parametrize("folder", ["local", "infra", "bench", "docs"])
def test_there_is_no_circle_in_a_house(folder: str) -> None:
    assert circle(graph(folder)) == []


def test_a_circle_would_be_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("functions", {"layers"}),
        ("layers", set()),
        ("infra", {"layers"}),
        ("local", {"docs", "infra", "layers"}),  # the console explains errors as the guides do
        ("local/simulated_wechat", set()),
    ],
)
def test_a_house_imports_only_from_the_houses_below(folder: str, others: set[str]) -> None:
    assert houses_of(folder) - {"local"} == others
