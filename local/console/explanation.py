"""What an error means and what to do, in Chinese and in English, for whoever reads the console."""

import re
from functools import cache
from typing import Final

from docs.generate.tables import chinese_details, chinese_remedies
from wechat_auth.errors import ERRCODES, ERRCODES_OF_CALL

Explanation = tuple[str, str]
"""Chinese, English."""

_ADDRESS: Final = re.compile(r"invalid ip ([\d.:a-fA-F]+)")


def of_errcode(call: str, errcode: int, errmsg: str) -> Explanation | None:
    """Explain an errcode of WeChat's that an operator has to do something about.

    Args:
        call: WeChat's name of the call.
        errcode: What it answered.
        errmsg: What it said besides; with 40164, the address that it does not let in.
    """
    meaning = ERRCODES_OF_CALL.get((call, errcode)) or ERRCODES.get(errcode)
    if meaning is None or meaning.remedy is None:
        return None
    chinese, english = _remedies()[meaning.remedy], meaning.remedy
    if address := _ADDRESS.search(errmsg):
        return f"{chinese}（来源地址是 {address[1]}）", f"{english} (the address is {address[1]})"
    return chinese, english


def of_problem(code: str, detail: str) -> Explanation | None:
    """Explain a problem document: in Chinese its kind, in English its own detail."""
    chinese = _details().get(code)
    return (chinese, detail) if chinese else None


_remedies = cache(chinese_remedies)
_details = cache(chinese_details)
