"""Servers as a team has them: processes of their own, before the stack of this folder."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import API_CLIENT
from local.stack import Stack
from tests.harness.api import Api, Document
from tests.harness.fixtures import api, running_stack

__all__ = ["api", "running_stack"]

ROOT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "servers"
PYTHON = ROOT / ".venv-own-backend/bin/python"
COMMANDS: dict[str, list[Path | str]] = {
    "fastapi": [PYTHON, SERVERS / "fastapi_server.py"],
    "express": ["node", SERVERS / "express_server.mjs"],
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the team's.

    Attributes:
        api: Sends requests to it.
        database: Its SQLite file.
    """

    api: Api
    database: Path

    def bind(self, tap: Document, token: str | None) -> Any:
        return self.api.request("POST", "/bind", tap, token=token)

    def me(self, token: str | None) -> Any:
        return self.api.request("GET", "/me", token=token)

    def bound(self) -> dict[str, str]:
        """Return the phone number of each openid."""
        with closing(sqlite3.connect(self.database)) as database:
            return dict(database.execute("SELECT openid, phone FROM users"))


StartServer = Callable[..., Server]


def install_packages(folder: Path) -> None:
    """Install what a folder's lock file names; without npm there is nothing to test."""
    assert PYTHON.exists(), "run: make test-own-backend"
    assert shutil.which("npm"), "Node.js 20 or newer with npm is needed"
    if not (folder / "node_modules/.package-lock.json").exists():
        npm = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=folder, check=True)  # noqa: S603


@pytest.fixture(scope="session")
def _packages() -> None:
    install_packages(SERVERS)


@pytest.fixture
def start_server(_packages: None, running_stack: Stack, tmp_path: Path) -> Iterator[StartServer]:
    """Start a server by its name; they all end with the test."""
    with ExitStack() as running:

        def start(name: str, *, client: tuple[str, str] = API_CLIENT) -> Server:
            database = tmp_path / f"{name}.db"
            variables = {
                "WECHAT_AUTH_URL": running_stack.url,
                "CLIENT_NAME": client[0],
                "CLIENT_SECRET": client[1],
                "DATABASE": str(database),
                "PORT": "0",
            }
            url = running.enter_context(_process(COMMANDS[name], variables))
            return Server(Api(url), database)

        yield start


@contextmanager
def _process(command: list[Path | str], variables: dict[str, str]) -> Iterator[str]:
    """Run a server, and yield the address that it says it listens at."""
    process = subprocess.Popen(  # noqa: S603
        command,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said = ""
    try:
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        raise AssertionError(f"the server did not start: {said}")
    finally:
        process.kill()
        process.communicate()


def kit_on_a_phone(stack: Stack, server: Server) -> Document:
    """Let the client kit send a tap to the server, then the same to the backend."""
    arguments = [stack.url, stack.wechat_url, server.api.url]
    done = subprocess.run(  # noqa: S603
        ["node", str(Path(__file__).parent / "kit.js"), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said: Document = json.loads(done.stdout)
    return said
