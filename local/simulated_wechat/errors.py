"""WeChat's failures: `errcode`, and an `errmsg` that ends in the request's rid."""

import secrets
from typing import Final

TOKEN_ERRCODES: Final = frozenset({40001, 40014, 42001})
"""With these WeChat refuses an access_token before it looks at anything else."""

ERRMSG: Final = {
    -1: "system error",
    1: "encrypted message not found",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40066: "invalid url",
    40097: "invalid args",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip, not in whitelist",
    40170: "args count exceed count limit",
    40226: "code blocked",
    40230: "API_Missing_Wechatmp_Serial",
    40231: "API_Missing_Wechatmp_Timestamp",
    40232: "API_Missing_Wechatmp_Signature",
    40233: "API_Missing_Wechatmp_Appid",
    40234: "API_Invalid_Signature",
    40235: "API_Invalid_Encrypt",
    40236: "API_Invalid_Wechatmp_Appid",
    40237: "API_Invalid_Appid",
    40240: "API_Expired_Wechatmp_Timestamp",
    40243: "AppSecret is frozen",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41018: "component_appid missing",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    44002: "empty post data",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    48004: "api forbidden for irregularities",
    50001: "user unauthorized",
    50002: "user limited",
    61003: "component is not authorized by this account",
    61004: "access clientip is not registered",
    61005: "component ticket is expired",
    61006: "component ticket is invalid",
    61007: "api is unauthorized to component",
    61009: "code is invalid",
    61010: "code is expired",
    61011: "invalid component",
    61014: "must use component token for component api",
    61015: "must use biz account token for not component api",
    61016: "function category of API need be confirmed by component",
    61017: "function category of API not authorized",
    61023: "refresh_token is invalid",
    87007: "session_key is not existed or expired",
    87008: "invalid sig_method",
    87009: "invalid signature",
}


class WeChatError(Exception):
    """A call that WeChat refuses, always answered with HTTP 200.

    Attributes:
        errcode: WeChat's number for it.
        errmsg: WeChat's words, without the rid; the usual ones for the errcode by default.
    """

    def __init__(self, errcode: int, errmsg: str | None = None) -> None:
        self.errcode = errcode
        self.errmsg = errmsg or ERRMSG.get(errcode, "error")
        super().__init__(f"{self.errcode} {self.errmsg}")

    def reply(self, now: float) -> dict[str, object]:
        """Return the JSON object that WeChat answers at the time `now`."""
        return {"errcode": self.errcode, "errmsg": f"{self.errmsg} rid: {_rid(now)}"}


def _rid(now: float) -> str:
    return f"{int(now):08x}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
