"""What runs: our functions as `make build` left them, and the peers, built beside them in .bench.

A peer is installed as `sam build` would do it, without bytecode, and once more with bytecode, as
our layers are: so that a comparison tells the libraries from the way they were built.
"""

import hashlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.scene import APPID
from local.emulator import BUILT, ROOT
from local.template import Function, read_template

PEERS: Final = Path(__file__).parent / "peers"
FOLDER: Final = ROOT / ".bench"
FLOOR: Final = "floor"
_INSTALL: Final = (
    *("pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"),
    *("--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """What Lambda would unpack for one contestant.

    Attributes:
        name: As tables name it.
        event: Of which function it answers the event.
        code: The folder that becomes /var/task.
        layers: The folders that become /opt.
    """

    name: str
    event: str
    code: Path
    layers: tuple[Path, ...] = ()

    @property
    def path(self) -> list[str]:
        """Where Python imports from."""
        return [str(self.code), *(str(layer / "python") for layer in self.layers)]

    def sizes(self) -> tuple[int, int]:
        """Return the bytes zipped and unzipped."""
        files = [
            (path, path.relative_to(folder))
            for folder in (self.code, *self.layers)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, name in files:
                archive.write(path, name)
        return packed.tell(), sum(path.stat().st_size for path, _ in files)


def functions(wechat_url: str) -> Mapping[str, Function]:
    """Read the built functions, with their settings, by the names of their sources' folders."""
    parameters = {"WeChatAppIds": APPID, "WeChatBaseUrls": wechat_url}
    built = read_template(BUILT, parameters).functions.values()
    return {function.function_name.partition("-")[2]: function for function in built}


def ours(built: Mapping[str, Function]) -> list[Artefact]:
    """Return our functions as they are deployed."""
    return [
        Artefact(name, name, function.folder, function.layers) for name, function in built.items()
    ]


def peers(python: str) -> list[Artefact]:
    """Build what our functions are compared with; what is built already stays.

    Args:
        python: CPython 3.13.
    """
    plain = _install(
        python,
        "as-sam-build",
        [ROOT / "layers/crypto/requirements.txt", ROOT / "layers/auth/requirements.txt"],
        [
            ROOT / "layers/crypto/wechat_crypto",
            ROOT / "layers/auth/wechat_auth",
            ROOT / "functions/login/app.py",
        ],
    )
    made = {
        name: _install(python, name, [PEERS / name / "requirements.txt"], [PEERS / name / "app.py"])
        for name in ("fastapi_wechatpy", "powertools_resolver", "floor")
    }
    alone = _install(
        python,
        "calls_alone",
        [PEERS / "floor/requirements.txt"],
        [PEERS / "calls_alone/app.py"],
    )
    fastapi, powertools = made["fastapi_wechatpy"], made["powertools_resolver"]
    return [
        Artefact(FLOOR, "login", _compile(python, made["floor"])),
        Artefact("the two calls of a login, alone", "login", _compile(python, alone)),
        Artefact("login, without our Makefiles", "login", plain),
        Artefact("FastAPI + Mangum + wechatpy, as sam build", "login", fastapi),
        Artefact("FastAPI + Mangum + wechatpy, compiled", "login", _compile(python, fastapi)),
        Artefact("Powertools resolver + pydantic, as sam build", "login", powertools),
        Artefact("Powertools resolver + pydantic, compiled", "login", _compile(python, powertools)),
    ]


def _install(python: str, name: str, requirements: list[Path], sources: list[Path]) -> Path:
    folder, stamp = FOLDER / name, FOLDER / f"{name}.sha256"
    digest = _digest([*requirements, *sources])
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in requirements:
        subprocess.run(  # noqa: S603
            [python, "-m", *_INSTALL, "--target", folder, "--requirement", path], check=True
        )
    for source in sources:
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / source.name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    shutil.rmtree(_compiled(folder), ignore_errors=True)
    stamp.write_text(digest, "utf-8")
    return folder


def _compile(python: str, folder: Path) -> Path:
    compiled = _compiled(folder)
    if not compiled.is_dir():
        shutil.copytree(folder, compiled)
        command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "."]
        subprocess.run(command, cwd=compiled, check=True)  # noqa: S603
    return compiled


def _compiled(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.compiled")


def _digest(sources: list[Path]) -> str:
    files = [path for source in sources for path in _files(source)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    else:
        yield from sorted(source.rglob("*.py"))
