"""SECURITY.md says what the code does, and nothing that looks like a secret gets in unseen."""

import json
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import tables
from infra.cloudformation import read_document
from tests.harness.transform import ROOT, TEMPLATES
from wechat_auth import phone_records
from wechat_auth.tokens import table

ENGLISH, CHINESE = tables.SECURITY
each_language = pytest.mark.parametrize("policy", tables.SECURITY, ids=lambda path: path.name)

FREE = {
    "Apache Software License", "Apache-2.0", "BSD License", "BSD-2-Clause", "MIT", "MIT License",
    "MIT No Attribution License (MIT-0)", "MIT-0", "PSF-2.0", "Unlicense",
}  # fmt: skip
"""Licences that ask for no more than to be named."""


@each_language
def test_the_table_of_packages_is_what_is_pinned(policy: Path) -> None:
    text = policy.read_text("utf-8")
    assert tables.render_security(text, chinese=policy == CHINESE) == text, "run: make docs"


@each_language
def test_what_it_names_exists(policy: Path) -> None:
    text = policy.read_text("utf-8")
    named = set(re.findall(r"\]\(([^)#]+)", text))
    named |= set(re.findall(r"`(tests/[\w./]+|requirements/)`", text))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@each_language
def test_how_long_things_are_kept_is_what_the_code_says(policy: Path) -> None:
    text = policy.read_text("utf-8")
    parameters = read_document(TEMPLATES["template"])["Parameters"]
    minutes, days = ("分钟", "天") if policy == CHINESE else ("minutes", "days")
    kept = re.search(rf"PhoneExchanges .*\| (\d+) {minutes} \|", text)
    assert kept
    assert int(kept[1]) * 60 == phone_records.KEPT_SECONDS
    for name, digits in re.findall(rf"(\d+) {days}（?\s?\(?`(\w+)`", text):
        assert parameters[digits]["Default"] == int(name)
    assert len(re.findall(rf"(\d+) {days}（?\s?\(?`(\w+)`", text)) == 2
    more = re.search(rf"AccessTokens .* (\d) {days}", text)
    assert more
    assert int(more[1]) * 86_400 == table.KEEP_ROW_SECONDS


def test_both_languages_have_the_same_sections_and_rows() -> None:
    def shape(path: Path) -> list[str]:
        lines = path.read_text("utf-8").splitlines()
        return [re.split(r"[ :]", line)[0] for line in lines if line.startswith(("#", "|", "- "))]

    assert shape(ENGLISH) == shape(CHINESE)


def test_what_is_shipped_has_a_free_licence() -> None:
    rows = re.findall(
        r"^\| (?:crypto|auth) \|.*\| (.*) \|$", tables.shipped_table(chinese=False), re.M
    )
    assert len(rows) >= 5
    for row in rows:
        assert set(re.split(r", | AND ", row)) <= FREE, row


def test_a_package_without_a_licence_is_an_error() -> None:
    with pytest.raises(ValueError, match="nameless names no licence"):
        tables.licence({"name": "nameless", "classifier": ["Topic :: Security"]})


@pytest.mark.parametrize(
    "leak",
    [
        'const APP_SECRET = "{hex}"',
        'AppSecret: "{hex}"',
        "aws_access_key_id = AKIA{upper}",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_in_a_file_is_found(tmp_path: Path, leak: str) -> None:
    text = leak.format(hex=secrets.token_hex(16), upper=secrets.token_hex(8).upper())
    assert scan(tmp_path, "const GREETING = 'hello'") == 0
    assert scan(tmp_path, text) == 1


def test_what_only_looks_like_a_secret_is_accepted_by_its_hash() -> None:
    baseline = json.loads((ROOT / ".secrets.baseline").read_text("utf-8"))
    found = [each for file in baseline["results"].values() for each in file]
    assert found
    assert {len(each["hashed_secret"]) for each in found} == {40}
    assert not any(
        name.startswith(("functions/", "miniprogram/kit")) for name in baseline["results"]
    )


def scan(folder: Path, text: str) -> int:
    """Search one file as `make secrets` does; 1: something was found."""
    subprocess.run(["git", "init", "--quiet", folder], check=True)  # noqa: S603, S607
    shutil.copy(ROOT / ".secrets.baseline", folder)
    (folder / "config.js").write_text(text, "utf-8")
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    command = [str(hook), "--baseline", ".secrets.baseline", "config.js"]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603
