"""`python -m docs.generate.tables`: write the generated tables into the READMEs and the guides.

A table stands between `<!-- name -->` and `<!-- /name -->`. A test holds the files against what
this writes, so that the documentation cannot say anything else than the code.
"""

import re
from collections.abc import Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Final

from docs.generate import cost, growth
from local.template import read_document
from wechat_auth.errors import ERRCODES, ERRCODES_OF_CALL, PROBLEMS, Errcode, Problem

ROOT: Final = Path(__file__).parents[2]
READMES: Final = (ROOT / "README.md", ROOT / "README.zh-CN.md")
COST: Final = (ROOT / "docs/cost.md", ROOT / "docs/cost.zh-CN.md")
GROWTH: Final = ROOT / "docs/growth.svg"
SECURITY: Final = (ROOT / "SECURITY.md", ROOT / "SECURITY.zh-CN.md")


def errors_table(*, chinese: bool) -> str:
    """Return the problem codes that a client can meet."""
    head = (
        "| `code` | HTTP | `action` | `title` | WeChat errcode |\n|---|---|---|---|---|\n"
        if not chinese
        else "| `code` | HTTP | `action` | `title` | 微信 errcode |\n|---|---|---|---|---|\n"
    )
    rows = [
        f"| `{problem.code}` | {problem.status} | `{problem.action}` | "
        f"{problem.title_zh if chinese else problem.title_en} | {_errcodes_of(problem)} |"
        for problem in PROBLEMS
    ]
    return head + "\n".join(rows)


def remedies_table(*, chinese: bool) -> str:
    """Return what an operator's log line says, by errcode."""
    by_remedy: dict[str, list[str]] = {}
    for name, meaning in _all_errcodes():
        if meaning.remedy:
            by_remedy.setdefault(meaning.remedy, []).append(name)
    head = (
        "| WeChat errcode | `remedy` |"
        if not chinese
        else "| 微信 errcode | `remedy`（日志原文） |"
    )
    rows = [f"| {', '.join(names)} | {remedy} |" for remedy, names in by_remedy.items()]
    return "\n".join([head, "|---|---|", *rows])


def settings_table(*, chinese: bool) -> str:
    """Return the template's parameters with their defaults.

    Raises:
        ValueError: A parameter has no Chinese description.
    """
    parameters = read_document(ROOT / "template.yaml")["Parameters"]
    if missing := parameters.keys() - SETTINGS_ZH.keys():
        raise ValueError(f"describe in Chinese, in {__file__}: {', '.join(sorted(missing))}")
    head = "| 参数 | 默认值 | 含义 |" if chinese else "| parameter | default | what it is |"
    rows = [
        f"| `{name}` | {_code(parameter.get('Default'))} | "
        f"{SETTINGS_ZH[name] if chinese else parameter['Description']} |"
        for name, parameter in parameters.items()
    ]
    return "\n".join([head, "|---|---|---|", *rows])


def render(text: str, *, chinese: bool) -> str:
    """Return a README's text with its tables as they should be.

    Raises:
        ValueError: A table's place is missing, or a parameter has no Chinese description.
    """
    return fill(
        text,
        {
            "errors": errors_table(chinese=chinese),
            "remedies": remedies_table(chinese=chinese),
            "settings": settings_table(chinese=chinese),
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
            "growth": growth.growth_table(chinese=chinese),
            "limits": growth.limits_table(chinese=chinese),
        },
    )


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
    """Return a package's licence: an SPDX expression, or what its metadata had before there were.

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
            raise ValueError(f"{start} and {end} must stand in the text exactly once")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Rewrite the READMEs, the guides and the chart of growth."""
    for paths, renderer in (
        (READMES, render),
        (COST, render_cost),
        (SECURITY, render_security),
    ):
        for path in paths:
            text = path.read_text(encoding="utf-8")
            chinese = path.name.endswith(".zh-CN.md")
            path.write_text(renderer(text, chinese=chinese), encoding="utf-8")
    GROWTH.write_text(growth.growth_chart(), encoding="utf-8")


def _all_errcodes() -> list[tuple[str, Errcode]]:
    special = [(f"{code} ({call})", meaning) for (call, code), meaning in ERRCODES_OF_CALL.items()]
    return [(str(code), meaning) for code, meaning in ERRCODES.items()] + special


def _errcodes_of(problem: Problem) -> str:
    if any(meaning.problem is problem and meaning.remedy for _, meaning in _all_errcodes()):
        return "↓"
    names = [name for name, meaning in _all_errcodes() if meaning.problem is problem]
    return ", ".join(names) or "–"


def _code(value: object) -> str:
    return "–" if value in (None, "") else f"`{value}`"


SETTINGS_ZH: Final[dict[str, str]] = {
    "WeChatAppIds": "本部署服务的小程序 appid，多个用逗号分隔；有多个时请求中须带 `appid`。",
    "WeChatBaseUrls": "微信接口地址，逗号分隔。只有连接未能建立时才尝试下一个。",
    "AccessTokenMode": "获取 access_token 的方式：`stable`（getStableAccessToken），或 `classic`"
    "（getAccessToken，供其他服务器也在使用它的应用）。",
    "SessionDays": "会话有效天数。wx.login 是静默的，过期后客户端重新登录即可。",
    "PhoneRequiresLogin": "POST /phone 是否必须已登录；若是，code 必须属于该用户。",
    "OpenDataMaxAge": "encryptedData 允许的最大时长（秒），以水印的 timestamp 为准。",
    "DecryptFailuresPerDay": "每个用户每天允许的解密失败次数，超过后返回 429。",
    "CheckEncryptedData": "解密出的手机号是否须经微信 checkEncryptedData 确认确由微信加密。",
    "LoginRate": "POST /login 每秒请求数上限（所有客户端合计），超过返回 429。",
    "PhoneRate": "POST /phone 每秒请求数上限（所有客户端合计），超过返回 429。",
    "DecryptRate": "POST /decrypt 每秒请求数上限（所有客户端合计），超过返回 429。",
    "SessionRate": "GET 与 DELETE /session 各自的每秒请求数上限（所有客户端合计）。",
    "Architecture": "函数的处理器架构。arm64 便宜约五分之一。",
    "FunctionMemory": "每个函数的内存（MB）；CPU 份额随之增长。",
    "LogLevel": "函数写入的最低日志级别。",
    "LogRetentionDays": "日志保留天数。",
    "SnapStart": "冷启动是否从快照恢复（SnapStart）。每个版本收少量费用；中国大陆区域没有。",
    "CanaryDeployment": "新代码是否先承接十分之一的请求十分钟，期间出错则自动回滚。",
    "Monitoring": "是否创建告警与仪表盘。",
    "AlarmTopicArn": "告警发往的 SNS 主题 ARN；留空则只在控制台显示。",
    "FixedAddresses": "调用微信时使用的固定出口 IP 个数（用于微信 IP 白名单）：0（不固定）、1，或 2"
    "（一个可用区故障时仍可用）。每个都需要一个 NAT 网关。",
    "CustomDomainName": "在微信后台登记的 API 域名，如 api.example.com。",
    "CertificateArn": "CustomDomainName 的 ACM 证书 ARN，须与堆栈同区域。",
    "CodeSha256": "不要手动设置：`make deploy` 会把代码与设置的哈希写在它的位置。",
}


if __name__ == "__main__":
    main()
