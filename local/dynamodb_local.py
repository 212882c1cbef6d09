"""DynamoDB Local, AWS's own engine, for what moto cannot prove: conditions that race.

It comes inside an npm package whose licence (AWS's) lets it be used but not passed on: it is
fetched once into .dynamodb-local, checked against a pinned hash, and never stored here. It listens
on every address of this machine, for it cannot be told otherwise: give it made-up data only.
"""

import base64
import contextlib
import hashlib
import http.client
import shutil
import socket
import subprocess  # nosec B404
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / ".dynamodb-local"
PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"  # holds DynamoDB Local 1.25.1
SHA512: Final = (
    "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
)
_INSIDE: Final = "package/emulator/"
_JAR: Final = "DynamoDBLocal.jar"
_START, _STOP, _FETCH = 60.0, 5.0, 300.0  # seconds


class DynamoDBLocalError(Exception):
    """The engine cannot be had; the message says what is missing and how to get it, in a line."""


@contextmanager
def serve(port: int = 0, folder: Path = FOLDER) -> Iterator[str]:
    """Run an empty DynamoDB Local (port 0: a free one) and give its URL; fetch it if need be.

    Raises:
        DynamoDBLocalError: Java, npm or the package is missing, or the engine does not start.
    """
    java = shutil.which("java")
    if java is None:
        raise DynamoDBLocalError(
            "DynamoDB Local needs Java: install a runtime of version 11 or newer (Debian: apt "
            "install default-jre-headless, macOS: brew install openjdk) and put java on PATH"
        )
    fetch(folder)
    port = port or free_port()
    command = [
        java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={folder / 'DynamoDBLocal_lib'}",
        "-jar", str(folder / _JAR), "-inMemory", "-disableTelemetry", "-port", str(port),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as output:
        engine = subprocess.Popen(  # noqa: S603  # nosec B603
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
        try:
            if not _answers(engine, port):
                output.seek(0)
                said = output.read().decode(errors="replace").strip().splitlines()[-1:]
                raise DynamoDBLocalError(
                    f"DynamoDB Local does not start ({' '.join(said) or 'it says nothing'}): try "
                    f"it with {java} -jar {folder / _JAR} -inMemory"
                )
            yield f"http://127.0.0.1:{port}"
        finally:
            engine.terminate()
            try:
                engine.wait(_STOP)
            except subprocess.TimeoutExpired:
                engine.kill()
                engine.wait()


def fetch(folder: Path = FOLDER) -> None:
    """Fetch the engine into ``folder`` unless it is there.

    Raises:
        DynamoDBLocalError: Npm or the package cannot be had, or it is not the one expected.
    """
    if (folder / _JAR).is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise DynamoDBLocalError(
            f"DynamoDB Local is fetched with npm (once, {PACKAGE}): install Node.js (Debian: apt "
            "install npm, macOS: brew install node) and put npm on PATH"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as temporary:
        here = Path(temporary)
        try:
            packed = subprocess.run(  # noqa: S603  # nosec B603
                [npm, "pack", "--silent", PACKAGE],
                cwd=here, capture_output=True, text=True, timeout=_FETCH, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DynamoDBLocalError(
                f"npm pack {PACKAGE} took too long: check the connection to the registry"
            ) from None
        archives = list(here.glob("*.tgz"))
        if packed.returncode or len(archives) != 1:
            said = (packed.stderr or packed.stdout).strip().splitlines()[-1:]
            raise DynamoDBLocalError(
                f"npm pack {PACKAGE} failed ({' '.join(said) or 'it says nothing'}): check that "
                "the registry can be reached"
            )
        _unpack(archives[0], here / "emulator")
        with contextlib.suppress(OSError):  # if another process was faster, its copy serves
            (here / "emulator").rename(folder)


def _unpack(archive: Path, into: Path) -> None:
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise DynamoDBLocalError(
            f"what npm gave as {PACKAGE} is not the package that was reviewed (its SHA-512 "
            "differs): do not use it, and find out where it came from"
        )
    with tarfile.open(archive) as members:
        for member in members:
            name = member.name.removeprefix(_INSIDE)
            if member.isfile() and name != member.name and (file := members.extractfile(member)):
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read())


def free_port() -> int:
    """Return a port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(engine: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the engine answers; ``False`` if it ends or takes too long."""
    deadline = time.monotonic() + _START
    while engine.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return engine.poll() is None
        finally:
            connection.close()
    return False
