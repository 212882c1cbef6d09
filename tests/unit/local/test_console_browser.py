import struct
from pathlib import Path

import pytest

from local.console.browser import chromium

PICTURE = Path(__file__).parents[3] / "docs" / "console.png"


def test_without_a_chromium_on_the_path_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() is None


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_chromium_is_found_under_each_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() == str(tmp_path / name)


def test_the_picture_in_the_documentation_is_small_enough_to_load_at_once() -> None:
    png = PICTURE.read_bytes()
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">I", png[16:20]) == (1280,)
    assert len(png) < 400_000
