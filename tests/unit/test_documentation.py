"""The READMEs and CONTRIBUTING.md say what the code does, the READMEs in both languages."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate import tables

DOCUMENTS = (*tables.READMES, tables.ROOT / "CONTRIBUTING.md")
GENERATED = [
    *((path, tables.render_settings) for path in tables.SETTINGS),
    *((path, tables.render_errors) for path in tables.ERRORS),
]
FOLDERS = "layers|functions|infra|local|bench|events|docs|tests|miniprogram|requirements"


@pytest.mark.parametrize(
    ("document", "render"), GENERATED, ids=lambda each: getattr(each, "name", "")
)
def test_the_tables_are_those_that_the_code_renders(
    document: Path, render: Callable[..., str]
) -> None:
    text = document.read_text(encoding="utf-8")
    assert render(text, chinese=".zh-CN" in document.name) == text, "run: make docs"


@pytest.mark.parametrize("readme", tables.READMES, ids=lambda path: path.name)
def test_the_readme_is_read_in_a_few_minutes(readme: Path) -> None:
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)#:]+)\)", text))
    named |= set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text))
    assert named
    assert [name for name in sorted(named) if not (tables.ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_is_a_target_of_the_makefile(document: Path) -> None:
    makefile = (tables.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text("utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= targets


def test_the_run_and_test_commands_stand_first() -> None:
    for readme in tables.READMES:
        first_block = readme.read_text(encoding="utf-8").split("```")[1]
        assert re.findall(r"^make \w+", first_block, re.MULTILINE) == ["make run", "make test"]


def test_both_languages_have_the_same_sections_commands_and_code() -> None:
    english, chinese = (readme.read_text(encoding="utf-8") for readme in tables.READMES)
    assert [len(line.split()[0]) for line in english.splitlines() if line.startswith("#")] == [
        len(line.split()[0]) for line in chinese.splitlines() if line.startswith("#")
    ]
    assert _commands(english) == _commands(chinese)


def test_a_parameter_without_a_chinese_description_is_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "settings.yaml").write_text("WeChatAppIds: 小程序\n", "utf-8")
    with pytest.raises(ValueError, match="SessionDays"):
        tables.settings_table(chinese=True, described=tmp_path / "settings.yaml")


def test_a_remedy_without_a_chinese_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "remedies.yaml").write_text("'40164': 白名单\n", "utf-8")
    with pytest.raises(ValueError, match="40243"):
        tables.remedies_table(chinese=True, described=tmp_path / "remedies.yaml")


def test_a_problem_without_a_chinese_detail_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "details.yaml").write_text("invalid_request: 格式有误\n", "utf-8")
    with pytest.raises(ValueError, match="wechat_unavailable"):
        tables.chinese_details(tmp_path / "details.yaml")


def test_a_missing_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="<!-- errors -->"):
        tables.render_errors("# nothing", chinese=False)


def _commands(text: str) -> list[str]:
    """Return the first word or two of each line in shell blocks, without comments and holes."""
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    return [re.sub(r"\s*#.*|<[^>]*>", "", line) for line in lines]
