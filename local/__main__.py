"""`python -m local`: the whole stack on one machine, until Ctrl-C.

PORT chooses the port of the API (3000; the next two are used too), LISTEN the address of it all
(127.0.0.1; "docker" for the one that containers reach), ACCOUNT the file of an account function
(local/account_function.py is one), VERBOSE=1 shows what the functions log, which goes to a file
otherwise.
"""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.gateway import Served
    from local.stack import Stack

_HIGHEST_PORT = 65533  # two more are needed
_LOOPBACK = "127.0.0.1"


def main() -> int:
    """Run the stack and return the exit code."""
    terminal = sys.stdout
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Only now: it takes a second, in which Ctrl-C has to end things cleanly, too.
    from local import console  # noqa: PLC0415
    from local.docker import DockerMissingError, host_for_containers  # noqa: PLC0415
    from local.invocations import ACCOUNT_FUNCTION, NoHandlerError, handler_of  # noqa: PLC0415
    from local.stack import PortTakenError, Stack  # noqa: PLC0415

    def on_request(served: "Served") -> None:
        print(_line(served), file=terminal, flush=True)

    port = os.environ.get("PORT") or "3000"
    if not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
        print(f"PORT must be a number from 1 to {_HIGHEST_PORT}", file=sys.stderr)
        return 1
    with ExitStack() as until_the_end:
        log = until_the_end.enter_context(_function_log())
        try:
            host = os.environ.get("LISTEN") or _LOOPBACK
            if host == "docker":
                host = host_for_containers()
            account = os.environ.get("ACCOUNT")
            functions = {ACCOUNT_FUNCTION: handler_of(Path(account))} if account else {}
            parameters = {"AccountFunctionArn": "".join(functions)}
            stack = until_the_end.enter_context(
                # The console is for a browser on this machine and for no other address.
                console.start(int(port), on_request, parameters=parameters)
                if host == _LOOPBACK
                else Stack.start(
                    port=int(port), host=host, parameters=parameters, on_request=on_request
                )
            )
            stack.invocations.functions |= functions
        except (PortTakenError, DockerMissingError, NoHandlerError) as error:
            print(error, file=sys.stderr)
            return 1
        print(welcome(stack, log), file=terminal, flush=True)
        # With a time-out, because on Windows a wait without one does not hear Ctrl-C.
        while not stop.wait(timeout=0.5):
            pass
        print("\nstopped", file=terminal, flush=True)
    return 0


@contextmanager
def _function_log() -> Iterator[str]:
    """Send what functions print to a file, so that it does not drown the line per request.

    Yields:
        Where it goes, for the reader.
    """
    if os.environ.get("VERBOSE") == "1":
        yield "shown below"
        return
    from local.runtime import functions_write_to  # noqa: PLC0415 - see main

    with (
        tempfile.NamedTemporaryFile(
            "w", prefix="wechat-auth-", suffix=".log", delete=False, encoding="utf-8", buffering=1
        ) as log,
        functions_write_to(log),
    ):
        yield log.name


def _line(served: "Served") -> str:
    """One request in one line: time, status, duration, route, and what was wrong."""
    now = datetime.now().astimezone().strftime("%H:%M:%S")
    line = f"{now}  {served.status}  {served.milliseconds:5.0f} ms  {served.method} {served.path}"
    if served.code:
        line += f"  {served.code}"
    if served.status >= HTTPStatus.BAD_REQUEST:
        line += f"  (requestId {served.request_id})"
    return line


def welcome(stack: "Stack", log: str) -> str:
    """What listens where, and three calls that work now."""
    from local.calls import three_calls  # noqa: PLC0415 - see main

    routes = "\n".join(
        f"    {route.method:6} {stack.url}{route.path}"
        for route in stack.application.routes
        if route.method
    )
    return f"""
The API is running; Ctrl-C ends it.

{routes}

{_console(stack)}{_account(stack)}    Simulated WeChat   {stack.wechat_url}
    DynamoDB, Secrets  {stack.aws_url}
    Function logs      {log}

{three_calls(stack.url, stack.wechat, stack.wechat_url)}"""


def _console(stack: "Stack") -> str:
    """Where a browser can watch, if it can."""
    if not stack.url.startswith(f"http://{_LOOPBACK}:"):
        return ""
    return f"    In a browser       {stack.url}/ (the demo, and each message as it passes)\n"


def _account(stack: "Stack") -> str:
    """Who is asked about logins and numbers, if anyone."""
    arn = stack.application.environment["ACCOUNT_FUNCTION_ARN"]
    return f"    Account function   {arn}\n" if arn else ""


if __name__ == "__main__":
    sys.exit(main())
