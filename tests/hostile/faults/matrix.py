"""What the faults came to, as a table."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docs.generate import tables
from tests.hostile.faults.expected import Outcome
from tests.hostile.faults.faults import KINDS, Call, Kind


@dataclass(frozen=True, slots=True)
class Cell:
    """One request, one call of it that failed in one way, and what came of it.

    Attributes:
        request: The request.
        call: The call that failed.
        kind: How.
        lasting: Whether its repetitions failed too.
        answer: What was answered.
        again: What was answered to the very same request afterwards.
    """

    request: str
    call: Call
    kind: Kind
    lasting: bool
    answer: Outcome
    again: Outcome


def rows(cells: list[Cell], *, chinese: bool) -> list[str]:
    """Return what lasting faults of a request come to; what comes to the same stands in one row."""
    return [
        _row(
            name_of(cells[0].request, chinese=chinese),
            ("、" if chinese else ", ").join(calls),
            _kinds(kinds, chinese=chinese),
            answer,
            again,
        )
        for (answer, again), kinds, calls in _rows([cell for cell in cells if cell.lasting])
    ]


def name_of(request: str, *, chinese: bool) -> str:
    """Return a request's name in a page."""
    if not chinese:
        return request
    name, *cases = request.split(", ")
    said = "、".join(_CASES_ZH[case] for case in cases)
    return _CASES_ZH.get(name, name) + (f"（{said}）" if said else "")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the documentation that shows the matrix, and is rewritten by `make fault-table`."""

    path: Path
    chinese: bool

    def rows(self) -> dict[str, list[str]]:
        """Return the rows of each request, by its name there."""
        table = self.path.read_text("utf-8").partition("<!-- faults -->")[2]
        of: dict[str, list[str]] = {}
        for row in re.findall(r"^\|.+\|$", table.partition("<!-- /faults -->")[0], re.M)[2:]:
            of.setdefault(row.split(" | ")[0].removeprefix("| "), []).append(row)
        return of

    def showing(self, rows: dict[str, list[str]], requests: Iterable[str]) -> str:
        """Return its text with these rows, those of the first request first."""
        names = [name_of(request, chinese=self.chinese) for request in requests]
        head = [_HEAD_ZH if self.chinese else _HEAD, "|---|---|---|---|---|"]
        table = "\n".join([*head, *(row for name in names for row in rows.get(name, []))])
        return tables.fill(self.path.read_text("utf-8"), {"faults": table})


_HEAD = "| request | the call that fails | how | answer | the same request afterwards |"
_HEAD_ZH = "| 请求 | 失败的调用 | 方式 | 返回 | 恢复后的同一请求 |"
_ZH: dict[Kind, str] = {
    "refused": "拒绝连接",
    "reset": "连接中断",
    "reply lost": "响应丢失",
    "too slow": "超时",
    "throttled": "限流",
    "5xx": "5xx",
    "garbage": "内容错乱",
    "denied": "无权限",
    "altered": "被篡改",
    "plain": "明文",
}

_CASES_ZH = {
    "with a session": "带会话",
    "classic token": "classic 模式",
    "once more": "再次发送",
    "one shot": "同时登录",
    "not decryptable": "无法解密",
    "cloudID": "cloudID",
    "account function": "账号函数",
    "API security": "API 安全",
    "schedule": "定时任务",
    "push": "推送",
    "ticket": "票据",
    "authorisation": "授权",
    "withdrawn": "取消授权",
    "merchant": "商家",
    "platform": "第三方平台",
}

_Comes = tuple[Outcome, Outcome]


def _rows(cells: list[Cell]) -> list[tuple[_Comes, tuple[Kind, ...], list[str]]]:
    """Group the cells of one request: first the ways of each call, then the calls alike."""
    ways: dict[tuple[Call, _Comes], list[Kind]] = {}
    for cell in cells:
        ways.setdefault((cell.call, (cell.answer, cell.again)), []).append(cell.kind)
    alike: dict[tuple[_Comes, tuple[Kind, ...]], list[str]] = {}
    for (call, comes), kinds in ways.items():
        alike.setdefault((comes, tuple(kinds)), []).append(str(call).removesuffix(" WeChat"))
    return [(comes, kinds, calls) for (comes, kinds), calls in alike.items()]


def _row(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


def _kinds(kinds: tuple[Kind, ...], *, chinese: bool) -> str:
    if len(kinds) == len(KINDS):
        return "任何" if chinese else "any"
    return "、".join(_ZH[kind] for kind in kinds) if chinese else ", ".join(kinds)
