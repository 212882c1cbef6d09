"""`python -m docs.generate.tables`: write the generated tables into the guides.

A table is between `<!-- name -->` and `<!-- /name -->`. A test holds the files against what
this writes, so that the documentation cannot say anything else than the code.
"""

import re
from collections.abc import Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Final

import yaml

from docs.generate import access_token, cost
from infra.cloudformation import read_document
from wechat_auth.errors import ERRCODES, ERRCODES_OF_CALL, PROBLEMS, Errcode, Problem

ROOT: Final = Path(__file__).parents[2]
SETTINGS_ZH: Final = Path(__file__).with_name("settings.zh-CN.yaml")
REMEDIES_ZH: Final = Path(__file__).with_name("remedies.zh-CN.yaml")
DETAILS_ZH: Final = Path(__file__).with_name("details.zh-CN.yaml")
READMES: Final = (ROOT / "README.md", ROOT / "README.zh-CN.md")
SETTINGS: Final = (ROOT / "docs/settings.md", ROOT / "docs/settings.zh-CN.md")
ERRORS: Final = (ROOT / "docs/errors.md", ROOT / "docs/errors.zh-CN.md")
COST: Final = (ROOT / "docs/cost.md", ROOT / "docs/cost.zh-CN.md")
ACCESS_TOKEN: Final = (ROOT / "docs/access-token.md", ROOT / "docs/access-token.zh-CN.md")
SECURITY: Final = (ROOT / "SECURITY.md", ROOT / "SECURITY.zh-CN.md")


def errors_table(*, chinese: bool) -> str:
    """Return the problem codes that a client can meet.

    Raises:
        ValueError: A problem's detail has no Chinese text, or a text no problem.
    """
    wechat, meaning = (
        ("微信 errcode", "含义（`detail`）") if chinese else ("WeChat errcode", "`detail`")
    )
    head = f"| `code` | HTTP | `action` | `title` | {meaning} | {wechat} |"
    details = (
        chinese_details() if chinese else {problem.code: problem.detail for problem in PROBLEMS}
    )
    rows = [
        f"| `{problem.code}` | {problem.status} | `{problem.action}` | "
        f"{problem.title_zh if chinese else problem.title_en} | {details[problem.code]} | "
        f"{_errcodes_of(problem)} |"
        for problem in PROBLEMS
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def chinese_details(described: Path = DETAILS_ZH) -> dict[str, str]:
    """Return the detail of each problem in Chinese, by its code.

    Raises:
        ValueError: A problem has no Chinese text, or a text no problem.
    """
    return _translated({problem.code for problem in PROBLEMS}, described)


def chinese_remedies(described: Path = REMEDIES_ZH) -> dict[str, str]:
    """Return each remedy in Chinese, by its English text.

    Args:
        described: Each in Chinese, by the first errcode that has it.

    Raises:
        ValueError: A remedy has no Chinese text, or a text no remedy.
    """
    first = {remedy: names[0] for remedy, names in _by_remedy().items()}
    texts = _translated(set(first.values()), described)
    return {remedy: texts[name] for remedy, name in first.items()}


def remedies_table(*, chinese: bool, described: Path = REMEDIES_ZH) -> str:
    """Return what an operator's log line says, by errcode.

    Args:
        chinese: Whether the remedy stands in Chinese beside it.
        described: Each remedy in Chinese, by the first errcode that has it.

    Raises:
        ValueError: A remedy has no Chinese text, or a text no remedy.
    """
    by_remedy = _by_remedy()
    head = (
        "| WeChat errcode | `remedy` |"
        if not chinese
        else "| 微信 errcode | 处理办法 | `remedy`（日志原文） |"
    )
    if not chinese:
        rows = [f"| {', '.join(names)} | {remedy} |" for remedy, names in by_remedy.items()]
        return "\n".join([head, "|---|---|", *rows])
    texts = chinese_remedies(described)
    rows = [
        f"| {', '.join(names)} | {texts[remedy]} | {remedy} |"
        for remedy, names in by_remedy.items()
    ]
    return "\n".join([head, "|---|---|---|", *rows])


def settings_table(*, chinese: bool, described: Path = SETTINGS_ZH) -> str:
    """Return the template's parameters with their defaults.

    Args:
        chinese: Whether in Chinese.
        described: What each parameter is, in Chinese.

    Raises:
        ValueError: A parameter has no Chinese description.
    """
    parameters = read_document(ROOT / "template.yaml")["Parameters"]
    texts: dict[str, str] = yaml.safe_load(described.read_text("utf-8"))
    if missing := parameters.keys() - texts.keys():
        raise ValueError(f"describe in Chinese, in {described}: {', '.join(sorted(missing))}")
    head = "| 参数 | 默认值 | 含义 |" if chinese else "| parameter | default | what it is |"
    rows = [
        f"| `{name}` | {_code(parameter.get('Default'))} | "
        f"{texts[name] if chinese else parameter['Description']} |"
        for name, parameter in parameters.items()
    ]
    return "\n".join([head, "|---|---|---|", *rows])


def render_settings(text: str, *, chinese: bool) -> str:
    """Return the text of docs/settings.md with its table as it should be.

    Raises:
        ValueError: The table's place is missing, or a parameter has no Chinese description.
    """
    return fill(text, {"settings": settings_table(chinese=chinese)})


def render_errors(text: str, *, chinese: bool) -> str:
    """Return the text of docs/errors.md with its tables as they should be.

    Raises:
        ValueError: A table's place is missing, or a remedy has no Chinese text.
    """
    return fill(
        text,
        {
            "errors": errors_table(chinese=chinese),
            "remedies": remedies_table(chinese=chinese),
        },
    )


def render_cost(text: str, *, chinese: bool) -> str:
    """Return the text of docs/cost.md with its tables as they should be.

    Raises:
        ValueError: A table's place is missing.
    """
    return fill(
        text,
        {
            "prices": cost.prices_table(chinese=chinese),
            "load": cost.load_table(chinese=chinese),
            "cost": cost.cost_table(chinese=chinese),
            "growth": cost.growth_table(chinese=chinese),
            "limits": cost.limits_table(chinese=chinese),
            "seals": cost.seals_table(chinese=chinese),
            "flood": cost.flood_table(chinese=chinese),
        },
    )


def render_access_token(text: str, *, chinese: bool) -> str:
    """Return the text of docs/access-token.md with its table as it should be.

    Raises:
        ValueError: The table's place is missing.
    """
    return fill(text, {"arithmetic": access_token.table(chinese=chinese)})


def shipped_table(*, chinese: bool) -> str:
    """Return the packages that the layers ship, with their versions and licences.

    The licence is what the package says of itself (Core metadata specifications, PyPA).
    """
    head = "| 层 | 包 | 版本 | 许可证 |" if chinese else "| layer | package | version | licence |"
    rows = [
        f"| {layer} | {name} | {version} | {licence(metadata(name).json)} |"
        for layer in ("crypto", "auth")
        for name, version in _pinned(ROOT / "layers" / layer / "requirements.txt")
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def licence(package: Mapping[str, str | list[str]]) -> str:
    """Return a package's licence: an SPDX expression, or what its metadata had before those.

    Args:
        package: Its metadata as JSON (PEP 566).

    Raises:
        ValueError: It names none.
    """
    prefix = "License :: OSI Approved :: "
    classifiers = package.get("classifier", [])
    names = [each.removeprefix(prefix) for each in classifiers if each.startswith(prefix)]
    named = package.get("license_expression") or ", ".join(names) or package.get("license")
    if not named:
        raise ValueError(f"{package['name']} names no licence")
    return str(named)


def render_security(text: str, *, chinese: bool) -> str:
    """Return the text of SECURITY.md with its table as it should be.

    Raises:
        ValueError: The table's place is missing.
    """
    return fill(text, {"shipped": shipped_table(chinese=chinese)})


def _pinned(requirements: Path) -> list[tuple[str, str]]:
    return re.findall(r"^([\w.-]+)==(\S+)", requirements.read_text("utf-8"), re.MULTILINE)


def fill(text: str, tables: dict[str, str]) -> str:
    """Return a text with tables in their places.

    Raises:
        ValueError: A table's place is missing.
    """
    for name, table in tables.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"{start} and {end} must be in the text exactly once")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Rewrite the guides."""
    for paths, renderer in (
        (SETTINGS, render_settings),
        (ERRORS, render_errors),
        (COST, render_cost),
        (ACCESS_TOKEN, render_access_token),
        (SECURITY, render_security),
    ):
        for path in paths:
            text = path.read_text(encoding="utf-8")
            chinese = path.name.endswith(".zh-CN.md")
            path.write_text(renderer(text, chinese=chinese), encoding="utf-8")


def _all_errcodes() -> list[tuple[str, Errcode]]:
    special = [(f"{code} ({call})", meaning) for (call, code), meaning in ERRCODES_OF_CALL.items()]
    return [(str(code), meaning) for code, meaning in ERRCODES.items()] + special


def _by_remedy() -> dict[str, list[str]]:
    """The errcodes of each remedy."""
    by_remedy: dict[str, list[str]] = {}
    for name, meaning in _all_errcodes():
        if meaning.remedy:
            by_remedy.setdefault(meaning.remedy, []).append(name)
    return by_remedy


def _translated(names: set[str], described: Path) -> dict[str, str]:
    texts: dict[str, str] = yaml.safe_load(described.read_text("utf-8"))
    if wrong := names ^ texts.keys():
        raise ValueError(f"in Chinese or here alone, in {described}: {', '.join(sorted(wrong))}")
    return texts


def _errcodes_of(problem: Problem) -> str:
    if any(meaning.problem is problem and meaning.remedy for _, meaning in _all_errcodes()):
        return "↓"
    names = [name for name, meaning in _all_errcodes() if meaning.problem is problem]
    return ", ".join(names) or "–"


def _code(value: object) -> str:
    return "–" if value in (None, "") else f"`{value}`"


if __name__ == "__main__":
    main()
