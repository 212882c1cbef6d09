"""`python -m local.sam_local`: the built functions in SAM CLI's Docker containers.

Without an argument: starts the stack and `sam local start-api`, walks the demo through it, sends
every event of events through `sam local invoke`, and ends it all. With the name of an event,
such as "login": sends just that one, with codes that work, to the stack of `make run
LISTEN=docker`, and shows what the function logs and returns.

What both commands of SAM CLI need to know is in samconfig.toml. PORT is the stack's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import urllib3

from infra.cloudformation import read_document
from local import demo
from local.demo import Walk
from local.docker import DockerMissingError, has_image, host_for_containers
from local.events import OUTCOMES, function_of, live_event, outcome
from local.sam_template import LOCAL
from local.stack import TEMPLATE, PortTakenError, Stack

ROOT: Final = Path(__file__).parents[1]
_SAM: Final = ROOT / ".venv-sam/bin/sam"
_LOG: Final = ROOT / ".aws-sam/start-api.log"
_API_URL: Final = "http://127.0.0.1:3010"
_MINUTES_TO_START: Final = 10  # the first time, an image of half a gigabyte is fetched


class SamError(Exception):
    """SAM CLI did not do what it should; the message says which and where it tells more."""


def main() -> int:
    """Walk, or send the event that is named, and return the exit code."""
    try:
        if len(sys.argv) > 1:
            return invoke(sys.argv[1])
        return walk()
    except KeyboardInterrupt:
        return 130  # as a shell has it
    except (DockerMissingError, PortTakenError, SamError) as error:
        print(error, file=sys.stderr)
        return 1


def walk() -> int:
    """Walk the demo through start-api, then send every event through invoke."""
    with Stack.start(port=_port(), host=host_for_containers()) as stack, _start_api():
        if demo.main(lambda: nullcontext((_API_URL, stack.wechat_url))):
            return 1
        print()
        outcomes = [_invoked(name, Walk(_API_URL, stack.wechat_url)) for name in OUTCOMES]
        return 0 if all(outcomes) else 1


def invoke(name: str) -> int:
    """Send one event to a function, with the stack of `make run LISTEN=docker`."""
    if name not in OUTCOMES:
        print(f"there is no event {name}; there are: {', '.join(OUTCOMES)}", file=sys.stderr)
        return 1
    address = f"http://{host_for_containers()}"
    walk = Walk(f"{address}:{_port()}", f"{address}:{_port() + 1}")
    try:
        result, log = _sam_invoke(name, walk)
    except urllib3.exceptions.HTTPError:
        print(f"no stack is at {walk.api_url}: make run LISTEN=docker", file=sys.stderr)
        return 1
    print(log, file=sys.stderr)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


@contextmanager
def _start_api() -> Iterator[None]:
    if _answers():
        raise SamError(f"something else listens on {_API_URL}: stop it")
    with _LOG.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - all of it is ours
            _command("start-api"),
            cwd=ROOT,
            env=_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: twice interrupted, it leaves containers
        )
        try:
            _wait_for(process)
            yield
        finally:
            process.terminate()  # it then removes its containers
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _MINUTES_TO_START * 60
    while process.poll() is None and time.monotonic() < until:
        if _answers():
            return
        time.sleep(0.2)
    raise SamError(f"sam local start-api did not start; what it said is in {_LOG}")


def _answers() -> bool:
    with urllib3.PoolManager(retries=False) as http:
        try:
            http.request("GET", _API_URL, timeout=1)
        except urllib3.exceptions.HTTPError:
            return False
    return True


def _invoked(name: str, walk: Walk) -> bool:
    """Send an event, say what came of it, and tell whether that is as it should be."""
    began = time.perf_counter()
    came, expected = outcome(_sam_invoke(name, walk)[0]), OUTCOMES[name]
    seconds = time.perf_counter() - began
    wrong = "" if came == expected else f"  NOT AS IT SHOULD BE: expected {expected}"
    print(f"sam local invoke  {name:20}  {came:26}  {seconds:4.1f} s{wrong}", flush=True)
    return not wrong


def _sam_invoke(name: str, walk: Walk) -> tuple[Any, str]:
    """Return what a function returned for an event, and what SAM CLI and the function logged."""
    done = subprocess.run(  # noqa: S603 - all of it is ours
        [*_command("invoke"), _logical_id(function_of(name)), "--event", "-"],
        input=json.dumps(live_event(name, walk)),
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SamError(f"sam local invoke ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout), done.stderr


def _logical_id(function: str) -> str:
    resources: dict[str, Any] = read_document(TEMPLATE)["Resources"]
    code = f"functions/{function}/"
    return next(name for name, each in resources.items() if _code_uri(each) == code)


def _code_uri(resource: dict[str, Any]) -> object:
    return resource.get("Properties", {}).get("CodeUri")


def _command(command: str) -> list[str]:
    if not (ROOT / LOCAL).is_file():
        raise SamError("nothing is built: run `make build`")
    architecture = read_document(ROOT / LOCAL)["Parameters"]["Architecture"]["Default"]
    image = f"public.ecr.aws/lambda/python:3.13-{architecture}"
    # Otherwise SAM CLI asks the registry for a newer one at every start.
    skip = ["--skip-pull-image"] if has_image(image) else []
    return [str(_SAM), "local", command, *skip]


def _environment() -> dict[str, str]:
    # A stack of this process has put its own AWS_* there, for its functions alone.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"SAM_CLI_TELEMETRY": "0"}


def _port() -> int:
    return int(os.environ.get("PORT") or 3000)


if __name__ == "__main__":
    sys.exit(main())
