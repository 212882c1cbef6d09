"""`python -m local.sam_local`: the built functions in SAM CLI's Docker containers.

Runs what a reader of docs/develop.md types, no more: `make run LISTEN=docker`, `sam local
start-api` with the demo through it, and `sam local invoke` with each event of events/. No container
may be left when they are told to end.
"""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from infra.cloudformation import read_document
from local import demo
from local.docker import DockerMissingError, ask_engine, has_image, host_for_containers
from local.events import OUTCOMES, function_of, outcome
from local.stack import TEMPLATE

ROOT: Final = Path(__file__).parents[1]
_MINUTES_TO_START: Final = 10  # the first time, an image of half a gigabyte is fetched


class SamError(Exception):
    """SAM CLI did not do what it should; the message says which and where it tells more."""


def main() -> int:
    """Walk, and return the exit code."""
    # So that what was started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as a shell has it
    try:
        return walk()
    except KeyboardInterrupt:
        return 130
    except (DockerMissingError, SamError) as error:
        print(error, file=sys.stderr)
        return 1


def walk() -> int:
    """Walk the demo through start-api, then send every event through invoke."""
    host = host_for_containers()
    before = _containers()
    with _serving([sys.executable, "-m", "local"], host, 3000, LISTEN="docker"):
        with _serving(_sam("start-api"), "127.0.0.1", 3010):
            addresses = "http://127.0.0.1:3010", f"http://{host}:3001"
            failed = demo.main(lambda: nullcontext(addresses))
        _check_none_is_left(before, "start-api")
        if failed:
            return 1
        outcomes = [_invoked(name) for name in OUTCOMES]
        with _running(_sam("invoke", "login"), signal.SIGINT, stderr=subprocess.PIPE) as process:
            while process.poll() is None and _containers() <= before:
                time.sleep(0.05)
        _check_none_is_left(before, "invoke, interrupted,")
    return 0 if all(outcomes) else 1


@contextmanager
def _serving(command: list[str], host: str, port: int, **variables: str) -> Iterator[None]:
    """Run a server until the end of the with block, which SIGTERM is."""
    if _listens(host, port):
        raise SamError(f"something else listens on {host}:{port}: stop it")
    path = ROOT / f".aws-sam/{port}.log"
    with (
        path.open("wb") as log,
        _running(command, signal.SIGTERM, variables, stdout=log, stderr=log) as process,
    ):
        until = time.monotonic() + _MINUTES_TO_START * 60
        while not _listens(host, port):
            if process.poll() is not None or time.monotonic() > until:
                raise SamError(f"{' '.join(command)} did not start; what it said is in {path}")
            time.sleep(0.2)
        yield


@contextmanager
def _running(
    command: list[str],
    end: signal.Signals,
    variables: Mapping[str, str] | None = None,
    **options: Any,
) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(  # noqa: S603 - all of it is ours
        command,
        cwd=ROOT,
        env={**os.environ, **_quicker(), **(variables or {})},
        start_new_session=True,  # Ctrl-C is for us: twice interrupted, SAM CLI leaves containers
        **options,
    )
    try:
        yield process
    finally:
        process.send_signal(end)
        process.communicate()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _check_none_is_left(before: set[str], command: str) -> None:
    if left := _containers() - before:
        raise SamError(f"sam local {command} left {', '.join(sorted(left))}")
    print(f"sam local {command} left no container", flush=True)


def _invoked(name: str) -> bool:
    """Send an event, say what came of it, and tell whether that is as it should be."""
    began = time.perf_counter()
    # SIGTERM would make SAM CLI leave the container.
    sam, pipe = _sam("invoke", name), subprocess.PIPE
    with _running(sam, signal.SIGINT, stdout=pipe, stderr=pipe) as process:
        result, log = process.communicate()
    if process.returncode:
        raise SamError(f"sam local invoke ended with {process.returncode}:\n{log.decode()}")
    came, expected = outcome(json.loads(result)), OUTCOMES[name]
    seconds = time.perf_counter() - began
    wrong = "" if came == expected else f"  NOT AS IT SHOULD BE: expected {expected}"
    print(f"sam local invoke  {name:26}  {came:26}  {seconds:4.1f} s{wrong}", flush=True)
    return not wrong


def _logical_id(function: str) -> str:
    resources: dict[str, Any] = read_document(TEMPLATE)["Resources"]
    code = f"functions/{function}/"
    return next(name for name, each in resources.items() if _code_uri(each) == code)


def _code_uri(resource: dict[str, Any]) -> object:
    return resource.get("Properties", {}).get("CodeUri")


def _sam(command: str, event: str = "") -> list[str]:
    """Return a command of SAM CLI's, with the function and the file of an event."""
    sent = [_logical_id(function_of(event)), "-e", f"events/{event}.json"] if event else []
    overrides = ["--parameter-overrides", "Architecture=arm64"]
    here = overrides if _architecture() == "arm64" else []
    return [".venv-sam/bin/sam", "local", command, *sent, *here]


def _architecture() -> str:
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def _quicker() -> dict[str, str]:
    """Keep SAM CLI from asking the registry for a newer image at every start."""
    image = f"public.ecr.aws/lambda/python:3.13-{_architecture()}"
    return {"SAM_SKIP_PULL_IMAGE": "1"} if has_image(image) else {}


def _containers() -> set[str]:
    return set(ask_engine("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines())


if __name__ == "__main__":
    sys.exit(main())
