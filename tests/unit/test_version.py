"""One version number, and the changelog says what it brought."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def package(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / path).read_text("utf-8"))
    return document


def test_everything_has_the_version_that_the_changelog_begins_with() -> None:
    lock = package("miniprogram/package-lock.json")
    versions = {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"],
        "openapi.yaml": yaml.safe_load((ROOT / "infra/openapi.yaml").read_text("utf-8"))["info"],
        "package.json": package("miniprogram/package.json"),
        "package-lock.json": lock,
        "package-lock.json, packages": lock["packages"][""],
        "kit": package("miniprogram/kit/package.json"),
    }
    newest = re.findall(r"^## \[(.*?)\]", CHANGELOG, re.MULTILINE)[0]
    assert {name: each["version"] for name, each in versions.items()} == dict.fromkeys(
        versions, newest
    )


def test_the_changelog_has_a_date_for_each_version_and_begins_with_the_newest() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    dated = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)")
    found = [dated.fullmatch(heading) for heading in headings]
    assert all(found), headings
    order = [(tuple(map(int, each.groups()[:3])), each[4]) for each in found if each]
    assert order == sorted(order, reverse=True)
