"""Built functions as Lambda runs them: under its own emulator, code and layers read-only."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator import LOGS, ROOT, Emulator, find_mounting
from local.runtime import FunctionError, FunctionTimeoutError
from local.template import Application, read_template

TEMPLATE = """
Resources:
  Probe:
    Type: AWS::Serverless::Function
    Properties:
      {FunctionName: local-probe, CodeUri: probe, Handler: app.handler, Timeout: 1,
       MemorySize: 512, Layers: [!Ref First, !Ref Second],
       Environment: {Variables: {COLOUR: green}}}
  Unloadable:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: unloadable, Handler: app.handler, Timeout: 1}
  First: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: first}}
  Second: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: second}}
"""
PROBE = """
import os, sys, time
import first, second
calls = 0

def handler(event, context):
    global calls
    calls += 1
    match event["do"]:
        case "sleep":
            time.sleep(10)
        case "raise":
            raise ValueError("on purpose")
        case "exit":
            os._exit(3)
        case "reply":
            return "x" * event["length"]
        case "write":
            with open(event["path"], "w"):
                pass
    return {
        "calls": calls,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(),
        "colour": os.environ["COLOUR"],
        "home": "HOME" in os.environ,
        "files": [__file__, first.__file__, second.__file__],
    }
"""
LARGEST_REPLY = 6_291_556
"""Bytes of JSON, by the emulator's own message."""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("application")
    (folder / "template.yaml").write_text(TEMPLATE, "utf-8")
    for name, text in {
        "probe/app.py": PROBE,
        "unloadable/app.py": "import nowhere\n",
        "first/python/first.py": "",
        "second/python/second.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, "utf-8")
    return read_template(folder / "template.yaml")


@pytest.fixture(scope="module")
def functions(application: Application) -> Iterator[Emulator]:
    with Emulator(application) as functions:
        yield functions


def probe(functions: Emulator, do: str = "", **more: object) -> Any:
    return functions.invoke("probe", {"do": do, **more})


def test_the_journey_passes_through_the_built_functions(built: Path) -> None:
    command = [sys.executable, "-m", "local.emulator"]
    walked = subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert "21 of 21 steps as they should be" in walked.stdout
    assert "/login" in walked.stdout


def test_a_function_sees_its_own_settings_and_nothing_of_this_process(functions: Emulator) -> None:
    seen = probe(functions)
    assert (seen["name"], seen["memory"], seen["colour"]) == ("local-probe", "512", "green")
    assert 0 < seen["remaining"] <= 1000
    assert seen["home"] is False


def test_code_and_layers_are_where_lambda_puts_them(functions: Emulator) -> None:
    if not find_mounting():
        pytest.skip("this user may not mount: they are in copies elsewhere")
    assert probe(functions)["files"] == [
        "/var/task/app.py",
        "/opt/python/first.py",
        "/opt/python/second.py",
    ]
    for path in ("/var/task/new", "/opt/new", "/opt/python/first.py"):
        with pytest.raises(FunctionError, match="Read-only file system"):
            probe(functions, "write", path=path)


def test_if_this_user_may_not_mount_code_and_layers_are_in_copies(
    application: Application,
) -> None:
    with Emulator(application, mounting=[]) as functions:
        code, first, second = map(Path, probe(functions)["files"])
        assert {path.stat().st_mode & 0o222 for path in (code, first, second)} == {0}
        assert (code.parts[-3:], first.parts[-3:], second.parts[-3:]) == (
            ("var", "task", "app.py"),
            ("opt", "python", "first.py"),
            ("opt", "python", "second.py"),
        )


def test_one_environment_serves_call_after_call(functions: Emulator) -> None:
    first, second = probe(functions), probe(functions)
    assert second["calls"] == first["calls"] + 1


@pytest.mark.parametrize(
    ("do", "error", "said"),
    [
        ("sleep", FunctionTimeoutError, r"Task timed out after 1\.00 seconds"),
        ("exit", FunctionError, r"Runtime\.ExitError"),
    ],
)
def test_a_function_that_takes_too_long_or_ends_its_process_starts_again(
    functions: Emulator, do: str, error: type[FunctionError], said: str
) -> None:
    with pytest.raises(error, match=said):
        probe(functions, do)
    assert probe(functions)["calls"] == 1


def test_a_reply_of_six_megabytes_is_the_most(functions: Emulator) -> None:
    quotes = 2
    assert len(probe(functions, "reply", length=LARGEST_REPLY - quotes)) == LARGEST_REPLY - quotes
    with pytest.raises(FunctionError, match=r"Function\.ResponseSizeTooLarge"):
        probe(functions, "reply", length=LARGEST_REPLY - quotes + 1)


def test_an_exception_is_a_function_error(functions: Emulator) -> None:
    with pytest.raises(FunctionError, match="probe: ValueError: on purpose"):
        probe(functions, "raise")


def test_an_import_error_is_told_as_lambda_tells_it(functions: Emulator) -> None:
    for _ in range(2):
        with pytest.raises(
            FunctionError,
            match=r"Runtime\.ImportModuleError: Unable to import module 'app': "
            "No module named 'nowhere'",
        ):
            functions.invoke("unloadable", {})
    assert "Runtime.ImportModuleError" in (LOGS / "unloadable.log").read_text("utf-8")
