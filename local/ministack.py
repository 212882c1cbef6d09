"""AWS on this machine, in a process of its own: ministack, an emulator that installs from PyPI.

It has CloudFormation, HTTP API, Lambda, DynamoDB, Secrets Manager, SQS, schedules and IAM, and
judges every call of a function by that function's own role. Functions run under its own Python,
which is 3.13 therefore, and inherit its environment. What it lacks: local/supplement.py, and
docs/deploy.md.

Source: https://github.com/ministackorg/ministack
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
import urllib3

from local.template import ACCOUNT_ID, REGION

ROOT: Final = Path(__file__).parents[1]
_PYTHON: Final = ROOT / ".venv-local-aws/bin/python"
_SERVICES: Final = (
    "s3,sqs,sts,iam,dynamodb,lambda,secretsmanager,logs,monitoring,apigatewayv2,"
    "cloudformation,scheduler,events"
)
_SECONDS_TO_START: Final = 30


class MinistackError(Exception):
    """The emulator is not installed or did not start; the message says what to do."""


@contextmanager
def serve(folder: Path, **variables: str) -> Iterator[str]:
    """Run the emulator on a free port of the loopback, with IAM enforced, and give its URL.

    Args:
        folder: Where it and its functions keep their files, and its log.
        variables: More environment variables, for it and for its functions.

    Raises:
        MinistackError: It is not installed, or it did not start.
    """
    if not _PYTHON.is_file():
        raise MinistackError("ministack is not installed: run make deploy-local, with CPython 3.13")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - all of it is ours
            [_PYTHON, "-m", "ministack"],
            cwd=folder,
            # Nothing of this shell's AWS settings: functions would inherit them.
            env={
                "PATH": os.defpath,
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "BIND_HOST": "127.0.0.1",  # every interface, if it is not said
                "GATEWAY_PORT": str(port),
                "MINISTACK_REGION": REGION,
                "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
                "SERVICES": _SERVICES,
                "AUTH": "true",
                **variables,
            },
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that Ctrl-C is ours, and its functions end with it
        )
        try:
            _wait_for(url, process, log)
            yield url
        finally:
            # With the functions that it runs; all that it had is in memory and in the folder.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@cache
def client(url: str, service: str) -> Any:
    """Return the boto3 client of a service, as the emulator's root user."""
    session = boto3.Session("test", "test", region_name=REGION)
    return session.client(service, endpoint_url=url)  # type: ignore[call-overload]


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    with urllib3.PoolManager(retries=False) as http:
        while process.poll() is None and time.monotonic() < until:
            try:
                http.request("GET", f"{url}/_ministack/health", timeout=5)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
            else:
                return
    raise MinistackError(f"ministack did not start; it said: {log.read_text('utf-8')[-2000:]}")
