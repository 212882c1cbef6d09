"""What does not depend on a clock: the modules that init loads, the instructions of a request.

`make record` writes them into budgets.json; tests/artefacts fails if a build differs, so that what
makes the functions slower is seen in the change that does it.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import artefacts, measuring, scene

FILE: Final = Path(__file__).with_suffix(".json")
COUNTED: Final = ("login", "phone", "authorizer")
"""Functions whose instructions are counted."""


@dataclass(frozen=True, slots=True)
class Built:
    """The built functions, ready to be measured."""

    bench: measuring.Bench
    functions: Mapping[str, artefacts.Artefact]

    def imports(self) -> dict[str, list[str]]:
        """Return the modules that each function loads at init.

        What is Python's own is named by its first name, and its private parts not at all, since
        these differ from one patch release to the next.
        """
        return {
            name: sorted(set(_public(self.bench.modules(function))))
            for name, function in self.functions.items()
        }

    def instructions(self) -> dict[str, float]:
        """Return the instructions of a warm request, in those of a fixed piece of work.

        That makes the figure one of the code, and less of the compiler that built Python.
        """
        reference = self.bench.instructions(self.functions["login"], reference=True)
        return {
            name: round(self.bench.instructions(self.functions[name]) / reference, 3)
            for name in COUNTED
        }


@contextmanager
def built(python: str, certificate: Path | None = None) -> Iterator[Built]:
    """Make the built functions ready, with AWS and WeChat answering.

    Args:
        python: CPython 3.13.
        certificate: With which AWS and WeChat speak TLS, a PEM file with its key.
    """
    settings = artefacts.functions("http://bench")["login"].environment
    scenery = scene.scene(settings)
    with measuring.stub_services(scenery.answers, certificate) as url:
        functions = artefacts.functions(url)
        settings = {**functions["login"].environment, **scene.STARTED}
        bench = measuring.Bench(python, url, settings, scenery)
        yield Built(bench, {one.name: one for one in artefacts.ours(functions)})


def read() -> dict[str, Any]:
    """Read what is recorded; each function's imports are all of its own again."""
    recorded: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    shared = recorded["imports"].pop("every function")
    imports = {name: sorted(shared + more) for name, more in recorded["imports"].items()}
    return {**recorded, "imports": imports}


def write(imports: Mapping[str, Sequence[str]], instructions: Mapping[str, float]) -> None:
    """Record; what every function imports stands there once."""
    shared = set.intersection(*map(set, imports.values()))
    content = {
        "instructions": instructions,
        "imports": {
            "every function": sorted(shared),
            **{name: sorted(set(modules) - shared) for name, modules in imports.items()},
        },
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def valgrind() -> str | None:
    """Return where valgrind is."""
    return shutil.which("valgrind")


def _public(modules: Sequence[str]) -> Iterator[str]:
    for module in modules:
        first = module.partition(".")[0]
        if not first.startswith("_") and first != "app":
            yield first if first in sys.stdlib_module_names else module


def main() -> int:
    """Record what is built now."""
    if not valgrind():
        print("valgrind is needed: apt install valgrind", file=sys.stderr)
        return 1
    with built(sys.argv[1]) as functions:
        write(functions.imports(), functions.instructions())
    return 0


if __name__ == "__main__":
    sys.exit(main())
