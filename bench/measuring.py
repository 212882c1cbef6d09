"""Starts contestants in processes of their own and reads their clocks."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest import mock

import urllib3

from bench.artefacts import Artefact, functions
from bench.scene import Scene, aws_variables, variables
from local.emulator import Emulator
from local.template import Application

_HERE: Final = Path(__file__).parent
_PERIOD: Final = 20_000  # microseconds; Lambda's own, by its published scheduling studies
_CGROUP: Final = Path("/sys/fs/cgroup/cpu/bench")
_VCPU_AT: Final = 1769
"""MB at which Lambda gives one whole vCPU (AWS Lambda Developer Guide, "Memory")."""


class MeasuringError(Exception):
    """A contestant did not answer as it should; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all contestants share.

    Attributes:
        python: CPython 3.13.
        url: Where AWS and WeChat answer.
        settings: Environment variables of the functions, and how Lambda starts them.
        scene: The requests.
    """

    python: str
    url: str
    settings: Mapping[str, str]
    scene: Scene

    def cold(self, artefact: Artefact) -> dict[str, float]:
        """Start a process and let it answer once.

        Returns:
            Seconds from its start until the handler was imported (``init``) and until the first
            answer (``first``); of processor until then (``cpu``); bytes of memory at the peak
            (``rss``).
        """
        told = self._run(artefact, {})
        began = told["began"]
        return {
            "init": told["loaded"] - began,
            "first": told["answered"] - began,
            "cpu": told["cold_cpu"],
            "rss": told["rss"],
        }

    def modules(self, artefact: Artefact) -> list[str]:
        """Return the modules that are loaded after init."""
        return list(self._run(artefact, {"list_modules": True})["modules"])

    def warm(self, artefact: Artefact, requests: int) -> dict[str, float]:
        """Measure requests to a process that has answered before, on a core of its own.

        Returns:
            Seconds of one request: of processor, the kernel's share included (``cpu``); of all
            but waiting for the network (``outside``); of everything (``wall``).
        """
        order = {"requests": requests, "warm_up": requests // 5, "network": True}
        told = self._run(artefact, {**order, "core": _last_core()})
        return {"cpu": told["cpu"], "outside": told["outside_network"], "wall": told["wall"]}

    def round_trips(self, artefact: Artefact) -> tuple[dict[str, int], dict[str, int]]:
        """Count the calls of a cold request and of a warm one, at the other end."""
        self._calls()
        self._run(artefact, {})
        cold = self._calls()
        self._run(artefact, {"requests": 1})
        both = self._calls()
        warm = {name: both[name] - cold.get(name, 0) for name in both}
        return cold, {name: number for name, number in warm.items() if number}

    def limited(self, artefact: Artefact, memory: int) -> dict[str, float]:
        """Return the seconds of init, and of a first and a warm answer at Lambda's share."""
        order = {"pause_after_init": True, "requests": 20, "warm_up": 5}
        told = self._run(artefact, order, memory / _VCPU_AT)
        return {
            "init": told["loaded"] - told["began"],
            "first": told["answered"] - told["resumed"],
            "warm": told["wall"],
        }

    def instructions(self, artefact: Artefact, *, reference: bool = False) -> float:
        """Count the instructions of a warm request, by callgrind: those of ten, divided.

        Args:
            artefact: Whose request.
            reference: Count `_reference` of ``environment`` instead, by which interpreters and
                compilers can be compared.
        """
        with ThreadPoolExecutor() as both:
            few, many = both.map(
                lambda requests: self._collected(artefact, requests, reference), (2, 12)
            )
        return (many - few) / 10

    def import_times(self, artefact: Artefact) -> tuple[float, str, float]:
        """Start a process that says what each import takes, and let it answer once.

        Returns:
            Seconds from its start until Python ran a first line, what ``-X importtime`` wrote from
            then on, and seconds until the first answer.
        """
        mark = "here the handler begins\n"
        told = self._run(artefact, {"mark": mark}, under=("env", "PYTHONPROFILEIMPORTTIME=1"))
        began, (_, said) = told["began"], told["stderr"].split(mark)
        return told["started"] - began, said, told["answered"] - began

    def watched(self, artefact: Artefact, requests: int, stacks: Path) -> None:
        """Let py-spy write a thousand times a second where the process is, in its raw format."""
        spy = str(Path(sys.executable).with_name("py-spy"))
        record = (spy, "record", "--format", "raw", "--full-filenames", "--rate", "1000")
        order = {"requests": requests, "warm_up": requests // 5}
        self._run(artefact, order, under=(*record, "--output", str(stacks), "--"))

    def _collected(self, artefact: Artefact, requests: int, reference: bool) -> int:
        callgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}")
        order = {"requests": requests, "warm_up": 2, "reference": reference}
        told = self._run(artefact, order, under=callgrind)["stderr"]
        found = re.search(r"Collected : (\d+)", told)
        if not found:
            raise MeasuringError(told)
        return int(found[1])

    def emulated(self, artefact: Artefact) -> float:
        """Return the seconds to the first answer under Lambda's emulator, fresh from its start."""
        function = replace(
            functions(self.url)["login"],
            folder=artefact.code,
            layers=artefact.layers,
            environment=dict(self.settings),
        )
        application = Application({"it": function}, (), {}, (), ())
        aws = aws_variables(self.url)
        with mock.patch.dict(os.environ, aws), Emulator(application) as emulator:
            began = time.perf_counter()
            emulator.invoke("it", self.scene.events[artefact.event])
            return time.perf_counter() - began

    def _calls(self) -> dict[str, int]:
        reply = urllib3.request("GET", f"{self.url}/-/calls", retries=False)
        return dict(reply.json())

    def _run(
        self,
        artefact: Artefact,
        order: Mapping[str, object],
        share: float | None = None,
        under: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Run ``environment`` and return what it reports, and what it wrote to stderr."""
        read, write = os.pipe()
        order = {
            "path": artefact.path,
            "event": self.scene.events[artefact.event],
            "report_to": write,
            **order,
        }
        program = str(_HERE / "environment.py")
        command = [*under, self.python, "-P", "-s", "-S", "-B", program, json.dumps(order)]
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            command,
            env=variables(self.settings, self.url) | {"PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[write],
        )
        os.close(write)
        assert process.stdin
        assert process.stderr
        if share is not None:
            os.read(read, 1)  # its init is over
            _slow_down(process.pid, share)
            process.stdin.write(b"\n")
            process.stdin.flush()
        with os.fdopen(read) as report, process.stdin, process.stderr:
            line = report.read()
            errors = process.stderr.read().decode()
        process.wait()
        told: dict[str, Any] = json.loads(line) if line else {}
        if told.get("status", 500) >= 300:
            raise MeasuringError(f"{artefact.name}: {told} {errors[-2000:]}")
        return {**told, "began": began, "stderr": errors}


@contextmanager
def stub_services(answers: Mapping[str, object], certificate: Path | None = None) -> Iterator[str]:
    """Run AWS and WeChat in a process of their own, on the first core; give their URL.

    Args:
        answers: See ``stub_services``.
        certificate: With which they speak TLS, a PEM file with its key.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "answers.json"
        path.write_text(json.dumps(answers), "utf-8")
        program = str(_HERE / "stub_services.py")
        command = [sys.executable, "-I", program, str(path), *map(str, filter(None, [certificate]))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout
            try:
                scheme = "https" if certificate else "http"
                yield f"{scheme}://127.0.0.1:{process.stdout.readline().strip()}"
            finally:
                process.terminate()


def can_be_slowed_down() -> bool:
    """Tell whether this user may limit a process to a share of a processor (Linux cgroups)."""
    try:
        _CGROUP.mkdir(exist_ok=True)
        (_CGROUP / "cpu.cfs_period_us").write_text(str(_PERIOD))
    except OSError:
        return False
    return True


def _slow_down(process: int, share: float) -> None:
    (_CGROUP / "cpu.cfs_quota_us").write_text(str(round(_PERIOD * share)))
    (_CGROUP / "cgroup.procs").write_text(str(process))


def _last_core() -> int:
    return (os.cpu_count() or 1) - 1
