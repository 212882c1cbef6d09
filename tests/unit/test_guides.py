"""The guides: what they name exists, and both languages say the same."""

import re
from pathlib import Path

import pytest

from infra.cloudformation import read_document
from tests.harness.transform import ROOT, TEMPLATES

_NAMES = (
    "api", "settings", "errors", "develop", "architecture", "deploy", "upgrade", "own-backend",
    "account-function", "push", "third-party-platform", "api-security", "operate", "cost",
    "access-token", "edge", "bench", "faults",
)  # fmt: skip
GUIDES = [ROOT / "docs" / f"{name}.md" for name in _NAMES]
ALL = [*GUIDES, *(path.with_suffix(".zh-CN.md") for path in GUIDES)]


def named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("guide", ALL, ids=named)
def test_every_link_leads_somewhere(guide: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https:)([^)#]*)#?([^)]*)\)", guide.read_text("utf-8")
    ):
        path = (guide.parent / target) if target else guide
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), anchor


@pytest.mark.parametrize("guide", GUIDES, ids=named)
def test_both_languages_have_the_same_sections_code_and_figures(guide: Path) -> None:
    english = guide.read_text("utf-8")
    chinese = guide.with_suffix(".zh-CN.md").read_text("utf-8")
    assert levels(english) == levels(chinese)
    assert blocks(english) == blocks(chinese)
    parameters = read_document(TEMPLATES["template"])["Parameters"]
    for name in parameters:
        assert english.count(f"`{name}") == chinese.count(f"`{name}"), name


@pytest.mark.parametrize("guide", ALL, ids=named)
def test_what_stands_in_code_is_a_name_of_the_template(guide: Path) -> None:
    template = read_document(TEMPLATES["template"])
    outputs = set(re.findall(r"(?:output|输出) `?([A-Z]\w+)", guide.read_text("utf-8")))
    edge = read_document(ROOT / "infra/edge.yaml")
    assert outputs <= template["Outputs"].keys() | edge["Outputs"].keys()
    set_here = set(re.findall(r"[`\"]([A-Z]+[a-z]\w*)=", guide.read_text("utf-8")))
    assert set_here <= template["Parameters"].keys() | edge["Parameters"].keys()


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_leads_to_every_guide_of_its_language(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    suffix = readme.removeprefix("README").removesuffix(".md")
    for guide in GUIDES:
        assert f"](docs/{guide.stem}{suffix}.md)" in text


@pytest.mark.parametrize("guide", ALL, ids=named)
def test_secrets_are_changed_by_commands_that_are_tested(guide: Path) -> None:
    text = guide.read_text("utf-8")
    assert "put-secret-value" not in text
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+) ENV=", text)) <= targets


def test_what_is_shown_of_a_teams_servers_is_what_is_walked() -> None:
    guide = (ROOT / "docs/own-backend.md").read_text("utf-8")
    shown = re.findall(r"```(?:python|js)(?: server| kit)?\n(.*?)```", guide, re.DOTALL)
    folder = ROOT / "tests/own_backend/servers"
    sources = [folder / "fastapi_server.py", folder / "express_server.mjs"]
    sources += [ROOT / "miniprogram/kit/README.md"]
    texts = [source.read_text("utf-8") for source in sources]
    elsewhere = [block for block in shown if not any(block in text for text in texts)]
    # tests/unit/local/test_route_of_ones_own.py runs it.
    assert [block.splitlines()[0] for block in elsewhere] == [
        "ORDERS = {}  # by openid; a table in real life"
    ]


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a file's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def levels(text: str) -> list[int]:
    return [len(found) for found in re.findall(r"^(#+) ", text, re.MULTILINE)]


_SAID = re.compile(r"(?:^| +)(?:#|//) .*|\"{3}.*\"{3}|<[^>]*>|\"title\":\"[^\"]*\"", re.MULTILINE)
"""What the two languages say differently: comments, docstrings, placeholders and titles."""


def blocks(text: str) -> list[str]:
    """Return the code blocks, without comments and holes; of a diagram, what is not a label."""
    found = re.findall(r"```(\w*)(?: server| kit)?\n(.*?)```", text, re.DOTALL)
    return [
        str(block.count("─>"))
        if language == "text"
        else drawn(block)
        if language == "mermaid"
        else re.sub(_SAID, "", block)
        for language, block in found
    ]


def drawn(diagram: str) -> str:
    """Return the first word and the arrows of each line."""
    return "\n".join(" ".join(re.findall(r"^ *\w+|-+>+", line)) for line in diagram.splitlines())
