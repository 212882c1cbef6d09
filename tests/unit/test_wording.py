"""Chinese pages as an engineer writes them, and commands that go where the environment is."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for folder in (".", "docs", "miniprogram/kit")
    for page in ROOT.glob(f"{folder}/*.zh-CN.md")
)
TABLES = sorted(ROOT.glob("docs/generate/*.zh-CN.yaml"))
GUIDES = sorted(ROOT.glob("docs/*.md"))
SOURCES = [
    ROOT / "local/console/static/why.js",
    ROOT / "local/console/static/words.js",
    ROOT / "miniprogram/kit/errors.js",
    *sorted(ROOT.glob("miniprogram/demo/*.js")),
    *sorted(ROOT.glob("miniprogram/demo/pages/**/*.js")),
    *sorted(ROOT.glob("miniprogram/demo/pages/**/*.wxml")),
]

GLOSSARY = {
    "回答|应答|答复|回复": "响应，返回",  # answer
    "登录态": "会话",  # session
    "(?<!堆)栈": "堆栈",  # stack
    "鉴权函数|授权函数|授权方函数|授权器": "授权方（authorizer）函数",
    "账户函数": "账号函数",  # account function; an account of AWS is 账户
    "AWS 账号": "AWS 账户",
    "套件": "kit",
    "金丝雀": "灰度发布",
    "密封(?!存)": "加密封存",
    "问题文档": "错误响应（problem document）",
    "你们": "你",
    "点按(?!钮)": "点击",
    "洪水攻击": "流量攻击",
}
OF_AN_APP = {"(?<!刷新)(?<!平台的)(?<!商家)令牌(?!内省)": "token"}
"""Besides, on a screen: 令牌 is only what WeChat itself calls so."""
_STRING = re.compile(r"""'[^'\n]*'|"[^"\n]*"|`[^`\n]*`""")
_HALF_WIDTH = re.compile(
    r"[\u4e00-\u9fff][,:;?!](?=\s?[\u4e00-\u9fff])|[\u4e00-\u9fff]\([\u4e00-\u9fff]"
)


def wrong(text: str, glossary: Mapping[str, str] = GLOSSARY) -> list[str]:
    """Return punctuation of half width between Chinese characters, and words not to be used."""
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "``", text, flags=re.DOTALL)
    return _HALF_WIDTH.findall(prose) + [
        f"{found}: {instead}"
        for words, instead in glossary.items()
        for found in re.findall(words, prose)
    ]


@pytest.mark.parametrize("page", [*PAGES, *TABLES], ids=lambda path: path.name)
def test_a_chinese_page_has_full_width_punctuation_and_one_word_for_a_thing(page: Path) -> None:
    assert wrong(page.read_text("utf-8")) == []


def said(source: str) -> str:
    """Return what stands between the quotes of a JavaScript source, a line each."""
    return "\n".join(text[1:-1] for text in _STRING.findall(source))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_console_and_the_demo_say_uses_the_same_words(source: Path) -> None:
    text = source.read_text("utf-8")
    assert wrong(said(text) if source.suffix == ".js" else text, GLOSSARY | OF_AN_APP) == []


def test_what_is_not_so_is_found() -> None:
    assert wrong("在本机启动,并打印") == ["动,"]
    assert wrong("服务器的应答") == ["应答: 响应，返回"]
    assert wrong("`a, b` 与 `应答`，正常") == []
    source = """a: ['点按', "the user's", `${n} 个:令牌`], // 应答"""
    assert said(source) == "点按\nthe user's\n${n} 个:令牌"
    assert wrong(said(source), GLOSSARY | OF_AN_APP) == ["个:", "点按: 点击", "令牌: token"]
    assert wrong("平台的令牌、刷新令牌、点按钮", GLOSSARY | OF_AN_APP) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_chinese_page_has_an_english_one_with_as_many_headings(page: Path) -> None:
    english = page.with_name(page.name.replace(".zh-CN", ""))
    levels = [
        re.findall(
            r"^(#+) ", re.sub(r"```.*?```", "", each.read_text("utf-8"), flags=re.DOTALL), re.M
        )
        for each in (english, page)
    ]
    assert levels[0] == levels[1]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_command_of_aws_goes_to_the_region_of_the_environment(guide: Path) -> None:
    """A guide is read from its top; the page of alarms, from the alarm that rang."""
    told = False
    for section in re.split(r"^##+ ", guide.read_text("utf-8"), flags=re.MULTILINE):
        here = told and not guide.name.startswith("operate")
        for command in re.finditer(r"^ *aws (?!sts)[^\n]*", section, re.MULTILINE):
            assert (
                here
                or "--region" in command.group()
                or "export AWS_REGION=" in section[: command.start()]
            ), command.group()
        told = told or "export AWS_REGION=<" in section
