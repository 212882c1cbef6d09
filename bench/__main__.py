"""`make bench`: measure all contestants in turn, print tables, write the figures."""

import argparse
import json
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import artefacts, budgets, measuring, scene
from bench.artefacts import FLOOR
from bench.report import FASTAPI, FASTAPI_SHIPPED, UNCOMPILED, report, targets
from local.emulator import BUILT, ROOT

FOLDER: Final = ROOT / "docs/bench"
_MEMORY: Final = (256, 512, 1024)
_EMULATED: Final = {"login", "authorizer", FLOOR, UNCOMPILED, FASTAPI, FASTAPI_SHIPPED}
"""To lay out an artefact for the emulator takes longer than to start it."""
SECURED: Final = "phone, API security"
_MORE: Final = {"nickName": "name", "city": "Guangzhou"}


def main() -> int:
    """Measure and return the exit code; a missed target is told, not an error."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="processes of each contestant")
    parser.add_argument("--requests", type=int, default=150, help="warm requests of a process")
    parser.add_argument("--python", required=True, help="CPython 3.13")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder of the figures")
    order = parser.parse_args()
    if not BUILT.is_file():
        print("nothing is built: run `make build`", file=sys.stderr)
        return 1
    figures = measure(order.python, order.runs, order.requests)
    figures["targets"] = [
        {"name": each.name, "measured": each.measured, "limit": each.limit, "reached": each.reached}
        for each in targets(figures)
    ]
    print(report(figures))
    write(figures, order.to)
    return 0


def measure(python: str, runs: int, requests: int) -> dict[str, Any]:
    """Measure everything, one process of each contestant after the other, so many times."""
    peers = artefacts.peers(python)
    with budgets.built(python) as built:
        bench, login = built.bench, built.functions["login"]
        secured = replace(bench, settings={**bench.settings, "APP_SECRETS_ID": scene.SECURED})
        phone = replace(built.functions["phone"], name=SECURED)
        everybody = [*built.functions.values(), phone, *peers]

        def bench_of(one: artefacts.Artefact) -> measuring.Bench:
            return secured if one is phone else bench

        working = [one for one in everybody if one.name != FLOOR]
        # Bytecode makes no difference once it is in memory.
        warmed = [one for one in working if "as sam build" not in one.name]
        emulated = [one for one in everybody if one.name in _EMULATED]
        for one in everybody:  # so that the first to be measured finds its files in memory too
            bench_of(one).cold(one)
        cold: Any = defaultdict(lambda: defaultdict(list))
        under_emulator: Any = defaultdict(list)
        warm: Any = defaultdict(lambda: defaultdict(list))
        crypto: Any = defaultdict(list)
        memory: Any = defaultdict(lambda: defaultdict(list))
        limits = _MEMORY if measuring.can_be_slowed_down() else ()
        for run in range(runs):
            print(f"run {run + 1} of {runs}", file=sys.stderr, flush=True)
            for one in everybody:
                _add(cold[one.name], bench_of(one).cold(one))
            for one in emulated:
                under_emulator[one.name].append(bench.emulated(one))
            for one in warmed:
                _add(warm[one.name], bench_of(one).warm(one, requests))
            _add(crypto, beside_openssl(python, login))
            for size in limits:
                _add(memory[str(size)], bench.limited(login, size))
        counted = {one.name: bench_of(one).round_trips(one) for one in warmed}
    return {
        "commit": _commit(),
        "machine": f"{platform.machine()}, {_processor()}, {platform.system()}",
        "runs": runs,
        "cold": cold,
        "emulated": under_emulator,
        "warm": warm,
        "round_trips": {
            name: {"cold": cold, "warm": warm} for name, (cold, warm) in counted.items()
        },
        "sizes": {one.name: one.sizes() for one in [login, *peers]},
        "crypto": crypto,
        "memory": memory,
    }


def beside_openssl(python: str, login: artefacts.Artefact) -> dict[str, float]:
    """Run ``crypto`` once."""
    libraries = artefacts.FOLDER / "fastapi_wechatpy.compiled"
    sizes = (0, 300, 3000)
    order = {
        "path": [*login.path, str(libraries)],
        "key_ring": scene.KEY_RING,
        "session_key": scene.SESSION_KEY,
        "iv": scene.IV,
        "appid": scene.APPID,
        "encrypted": [scene.encrypt({**_MORE, "text": "x" * size}) for size in sizes],
    }
    program = str(Path(__file__).with_name("crypto.py"))
    command = [python, "-I", "-S", "-B", program, json.dumps(order)]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout))


def write(figures: dict[str, Any], folder: Path) -> None:
    """Write what the documentation shows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    (folder / "bench.txt").write_text(report(figures) + "\n", "utf-8")


def _add(found: Any, measured: Mapping[str, float]) -> None:
    for name, value in measured.items():
        found[name].append(value)


def _commit() -> str:
    return _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
