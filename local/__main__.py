"""`python -m local`: the whole stack on one machine, until Ctrl-C.

PORT chooses the port of the API (3000; the next two are used too), LISTEN the address of the API
and the simulated WeChat (127.0.0.1; 0.0.0.0 for phones on the same network; "docker" for the one
that containers reach, where AWS then listens too), ACCOUNT the file of an account function
(local/account_function.py is one), APPID the mini-program to serve with the real WeChat, whose
AppSecret is asked for and kept in memory only. VERBOSE=1 shows what the functions log, which goes
to a file otherwise.
"""

import getpass
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http import HTTPStatus
from io import TextIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from local.gateway import Served
    from local.stack import RealApp, Stack

_HIGHEST_PORT = 65533  # two more are needed
_LOOPBACK = "127.0.0.1"
_HERE = frozenset({_LOOPBACK, "localhost"})
_EVERYWHERE = "0.0.0.0"  # noqa: S104  # nosec B104 - what LISTEN may say
_NOWHERE = ("192.0.2.1", 9)  # RFC 5737: no machine has it, and nothing is sent there


class NoAppError(Exception):
    """What was given is no appid or no AppSecret; the message says what is, in one line."""


def main() -> int:
    """Run the stack and return the exit code."""
    terminal = sys.stdout
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Only now: it takes a second, in which Ctrl-C has to end things cleanly, too.
    from local import console, sample  # noqa: PLC0415
    from local.docker import DockerMissingError, host_for_containers  # noqa: PLC0415
    from local.invocations import ACCOUNT_FUNCTION, NoHandlerError, handler_of  # noqa: PLC0415
    from local.stack import PortTakenError  # noqa: PLC0415

    def on_request(served: "Served") -> None:
        print(_line(served), file=terminal, flush=True)

    port = os.environ.get("PORT") or "3000"
    if not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
        print(f"PORT must be a number from 1 to {_HIGHEST_PORT}", file=sys.stderr)
        return 1
    with ExitStack() as until_the_end:
        log = until_the_end.enter_context(
            _function_log(lambda text: print(text, file=terminal, flush=True))
        )
        try:
            real = real_app(os.environ.get("APPID", ""))
            host = os.environ.get("LISTEN") or _LOOPBACK
            in_containers = host == "docker"
            if in_containers:
                host = host_for_containers()
            account = os.environ.get("ACCOUNT")
            functions = {ACCOUNT_FUNCTION: handler_of(Path(account))} if account else {}
            parameters = {"AccountFunctionArn": "".join(functions)}
            stack = until_the_end.enter_context(
                console.start(
                    int(port),
                    on_request,
                    host=host,
                    # A real AppSecret is for this machine alone.
                    aws_host=host if in_containers and not real else _LOOPBACK,
                    parameters=parameters,
                    real=real,
                )
            )
            stack.invocations.functions |= functions
            if not real:
                sample.add_to(stack)
            until_the_end.enter_context(stack.alive())
        except (NoAppError, PortTakenError, DockerMissingError, NoHandlerError) as error:
            print(error, file=sys.stderr)
            return 1
        print(welcome(stack, log), file=terminal, flush=True)
        # With a time-out, because on Windows a wait without one does not hear Ctrl-C.
        while not stop.wait(timeout=0.5):
            pass
        print("\nstopped", file=terminal, flush=True)
    return 0


def real_app(appid: str, ask: Callable[[str], str] = getpass.getpass) -> "RealApp | None":
    """Return the mini-program to serve with the real WeChat, or None for the simulated one.

    Args:
        appid: Its appid, or "" for none.
        ask: Shows a prompt and reads a line that is not shown.

    Raises:
        NoAppError: The appid or the AppSecret is none.
    """
    from infra.app_secret import APP_SECRET  # noqa: PLC0415 - see main
    from local.stack import RealApp  # noqa: PLC0415
    from wechat_auth.app_secrets import APPID  # noqa: PLC0415

    if not appid:
        return None
    if not APPID.fullmatch(appid):
        raise NoAppError("APPID must be wx and 16 digits or letters from a to f")
    secret = ask(f"AppSecret of {appid} (not shown, and kept in memory only): ").strip()
    if not APP_SECRET.fullmatch(secret):
        raise NoAppError("an AppSecret is 32 digits or letters from a to f: copy it again")
    return RealApp(appid, secret)


class Explained(TextIOBase):
    """A log that also says aloud what the operator has to do.

    Args:
        log: Gets everything.
        say: Is told each remedy, as a line.
    """

    def __init__(self, log: IO[str], say: Callable[[str], None]) -> None:
        self._log = log
        self._say = say

    def write(self, text: str) -> int:
        """Write to the log; each line of JSON with a remedy is said."""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("remedy"):
                errcode = f"WeChat {entry['errcode']}: " if entry.get("errcode") else ""
                self._say(f"          {errcode}{entry['remedy']}")
        return self._log.write(text)

    def flush(self) -> None:
        """Flush the log."""
        self._log.flush()


@contextmanager
def _function_log(say: Callable[[str], None]) -> Iterator[str]:
    """Send what functions print to a file, so that it does not drown the line per request.

    Args:
        say: Is told what the operator has to do.

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
        functions_write_to(Explained(log, say)),
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

    url, wechat_url = (on_network(each) for each in (stack.url, stack.wechat_url))
    wechat, calls = (
        (wechat_url, three_calls(url, stack.wechat, wechat_url))
        if wechat_url
        else (f"the real one, for {stack.appid}", _real(url))
    )
    routes = "\n".join(
        f"    {route.method:6} {url}{route.path}"
        for route in stack.application.routes
        if route.method
    )
    return f"""
The API is running; Ctrl-C ends it.

{routes}

{_console(stack)}{_account(stack)}    WeChat             {wechat}
    DynamoDB, Secrets  {stack.aws_url}
    Function logs      {log}
{_reach(stack)}
{calls}"""


def on_network(url: str) -> str:
    """Return a URL that listens on every address with one that other machines can open."""
    if f"//{_EVERYWHERE}:" not in url:
        return url
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)  # chooses the address of the way out
            address = probe.getsockname()[0]
        except OSError:  # this machine is on no network
            address = _LOOPBACK
    return url.replace(_EVERYWHERE, address)


def _reach(stack: "Stack") -> str:
    """What others on the network can reach, in a line."""
    listening = {
        "the API": stack.url,
        "the simulated WeChat": stack.wechat_url,
        "DynamoDB and Secrets Manager": stack.aws_url,
    }
    open_ = [name for name, url in listening.items() if url and urlsplit(url).hostname not in _HERE]
    return f"\nWhoever reaches this address can call: {', '.join(open_)}.\n" if open_ else ""


def _real(url: str) -> str:
    """How a phone gets a real login, before anything is deployed."""
    return f"""\
In DevTools, open your mini-program (or miniprogram/demo with your appid in project.config.json
and simulatedPhone empty in config.js), switch on "Do not verify valid domain names", and set

    baseUrl: '{url}'

A phone on the same network: start with LISTEN=0.0.0.0, and switch on the phone's debugging.
"""


def _console(stack: "Stack") -> str:
    """Where a browser on this machine can watch, if it can."""
    if urlsplit(stack.url).hostname not in {*_HERE, _EVERYWHERE}:
        return ""
    shown = "each message as it passes"
    if stack.wechat_url:
        shown = f"the demo, and {shown}"
    return f"    In a browser       {stack.url.replace(_EVERYWHERE, _LOOPBACK)}/ ({shown})\n"


def _account(stack: "Stack") -> str:
    """Who is asked about logins and numbers, if anyone."""
    arn = stack.application.environment["ACCOUNT_FUNCTION_ARN"]
    return f"    Account function   {arn}\n" if arn else ""


if __name__ == "__main__":
    sys.exit(main())
