"""Built functions under the Lambda runtime interface emulator: Lambda without Docker, on Linux.

`python -m local.emulator` walks the demo through them. Each function has an emulator of its
own, which enforces its time-out and the size of a reply and starts it again after a crash, and sees
its layers under /opt and its code under /var/task, read-only. Where this user may not mount, these
are read-only copies elsewhere.

The emulator itself comes with SAM CLI, Lambda's runtime client with requirements/emulator.txt.

Sources: https://github.com/aws/aws-lambda-runtime-interface-emulator and the Lambda Developer
Guide, "Packaging your layer content" and "Lambda quotas".
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import urllib3

from local import demo
from local.runtime import FunctionError, FunctionTimeoutError
from local.stack import Stack
from local.template import Application, Function

ROOT: Final = Path(__file__).parents[1]
BUILT: Final = ROOT / ".aws-sam/build/template.yaml"
LOGS: Final = ROOT / ".aws-sam/emulator"
_PYTHON: Final = ROOT / ".venv-emulator/bin/python"
_MACHINES: Final = {"x86_64": "x86_64", "aarch64": "arm64"}
_SECONDS_TO_START: Final = 10
_SECONDS_TO_LOAD: Final = 10  # what Lambda gives a function before its first event
_OK: Final = 200
_STILL_ENDING: Final = b"ErrGateCanceled"
"""What timed out is not ended yet: the call did not reach the function."""

# For this process alone, $0/opt and $0/var come on top of what /opt and /var hold. An overlay
# without an upper layer is read-only.
_MOUNT: Final = """
mount -t overlay overlay -o "lowerdir=$0/opt:/opt" /opt &&
mount -t overlay overlay -o "lowerdir=$0/var:/var" /var && exec "$@"
"""


class EmulatorMissingError(Exception):
    """Something that the emulator needs is not here; the message says how to get it."""


class Emulator:
    """The functions of a built application; a context manager.

    What a function logs is in .aws-sam/emulator, in a file of its name.
    """

    def __init__(self, application: Application, mounting: Sequence[str] | None = None) -> None:
        """Take the functions; nothing runs yet.

        Args:
            application: has the functions.
            mounting: the command that lets this user mount; if it is empty, copies will do.
        """
        self._functions = application.functions
        self._mounting = find_mounting() if mounting is None else mounting
        self._environments: dict[str, _Environment] = {}
        self._until_the_end = ExitStack()

    def __enter__(self) -> Self:
        """Start the emulators; a function itself starts with its first call.

        Raises:
            EmulatorMissingError: Something is not installed, or not built, or not for this system.
        """
        with ExitStack() as stack:
            for name, function in self._functions.items():
                self._environments[name] = stack.enter_context(
                    _environment(function, self._mounting)
                )
            self._until_the_end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the emulators and what they run."""
        self._until_the_end.close()

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by its Function.name; event and result pass through JSON.

        Raises:
            FunctionError: It raised, could not be loaded, ended, or returned more than 6 MB.
            FunctionTimeoutError: It took longer than its time-out.
        """
        return self._environments[name].invoke(event)


class _Environment:
    """The execution environment of one function: one call at a time."""

    def __init__(self, function: Function, address: str) -> None:
        self._function = function
        self._url = f"http://{address}/2015-03-31/functions/function/invocations"
        self._http = urllib3.PoolManager(
            retries=False, timeout=function.timeout + _SECONDS_TO_LOAD + 5
        )
        self._turn = threading.Lock()

    def invoke(self, event: object) -> Any:
        name = self._function.name
        with self._turn:
            reply = self._call(event)
        text = reply.data.decode()
        if text.startswith("Task timed out after"):
            raise FunctionTimeoutError(f"{name}: {text}")
        result = json.loads(text)
        # The emulator has no X-Amz-Function-Error: what a handler raised comes as a result.
        if reply.status != _OK or (isinstance(result, dict) and "errorType" in result):
            raise FunctionError(f"{name}: {result['errorType']}: {result['errorMessage']}")
        return result

    def _call(self, event: object) -> urllib3.BaseHTTPResponse:
        until = time.monotonic() + _SECONDS_TO_START
        while True:
            reply = self._http.request("POST", self._url, json=event)
            if _STILL_ENDING not in reply.data or time.monotonic() > until:
                return reply
            time.sleep(0.05)


@contextmanager
def _environment(function: Function, mounting: Sequence[str]) -> Iterator[_Environment]:
    LOGS.mkdir(parents=True, exist_ok=True)
    address, runtime_address = _free_addresses(2)
    with (
        tempfile.TemporaryDirectory() as temporary,
        (LOGS / f"{function.name}.log").open("wb") as log,
    ):
        unpacked = Path(temporary)
        _unpack(function, unpacked)
        prefix, opt, task = _placed(unpacked, mounting)
        process = subprocess.Popen(  # noqa: S603 - all of it is ours
            [
                *prefix,
                *("/bin/sh", "-c", 'cd "$0" && exec "$@"', task),
                str(_emulator()),
                *("--runtime-interface-emulator-address", address),
                *("--runtime-api-address", runtime_address),
                *("--log-level", "error"),
                *(str(_python()), "-m", "awslambdaric", function.handler),
            ],
            env=_variables(function, opt, task),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(address, process)
            yield _Environment(function, address)
        finally:
            process.terminate()
            process.wait()


def _unpack(function: Function, folder: Path) -> None:
    """Lay out what Lambda would: layer upon layer in opt, the code in var/task."""
    if not function.folder.is_dir():
        raise EmulatorMissingError(f"{function.folder} is not there: run `make build`")
    (folder / "opt").mkdir()
    for layer in function.layers:
        shutil.copytree(layer, folder / "opt", dirs_exist_ok=True)
    shutil.copytree(function.folder, folder / "var/task")
    for path in folder.rglob("*"):
        path.chmod(0o555)


def _placed(unpacked: Path, mounting: Sequence[str]) -> tuple[list[str], str, str]:
    """Return a command prefix that puts it in its place, and the folders of opt and task then."""
    if not mounting:
        return [], str(unpacked / "opt"), str(unpacked / "var/task")
    return [*mounting, "/bin/sh", "-c", _MOUNT, str(unpacked)], "/opt", "/var/task"


@cache
def find_mounting() -> list[str]:
    """Return the command that lets this user mount, or nothing if there is none."""
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        with tempfile.TemporaryDirectory() as temporary:
            for name in ("opt", "var"):
                (Path(temporary) / name).mkdir()
            attempt = [*prefix, "/bin/sh", "-c", _MOUNT, temporary, "true"]
            try:
                done = subprocess.run(attempt, capture_output=True, check=False)  # noqa: S603
            except FileNotFoundError:
                continue
            if done.returncode == 0:
                return prefix
    return []


def _variables(function: Function, opt: str, task: str) -> dict[str, str]:
    """Return the environment: Lambda's own variables, the template's, and the stack's AWS_*."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": task,
        "PYTHONPATH": f"{opt}/python",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        **function.environment,
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
    }


def _emulator() -> Path:
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        raise EmulatorMissingError(
            "Lambda's emulator runs on Linux, x86_64 or arm64: use `make sam-local` instead"
        )
    where = f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    for path in (ROOT / ".venv-sam").glob(where):
        return path
    raise EmulatorMissingError("SAM CLI is not installed: run `make build`")


def _python() -> Path:
    if not _PYTHON.is_file():
        raise EmulatorMissingError(f"{_PYTHON} is not there: run `make demo-emulator`")
    return _PYTHON


def _free_addresses(number: int) -> list[str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise EmulatorMissingError(f"the emulator did not start; what it said is in {LOGS}")


@contextmanager
def _serve() -> Iterator[tuple[str, str]]:
    started = Stack.start(template=BUILT, functions=lambda each, _: Emulator(each))
    with started as stack, stack.alive():
        yield stack.url, stack.wechat_url


def main() -> int:
    """Walk the demo through the built functions and return the exit code."""
    if not BUILT.is_file():
        print("nothing is built: run `make build`", file=sys.stderr)
        return 1
    try:
        return demo.main(_serve)
    except EmulatorMissingError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
