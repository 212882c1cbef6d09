"""Every error this backend answers with, and the one table that maps WeChat's errcodes to them.

The table is also what the documentation shows: change it here, then run ``make docs``.
Sources: RFC 9457 (problem documents); WeChat's global return codes and the pages of each call.
"""

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "retry", "login_again", "authorize_again", "wait", "fix_request", "contact_support"
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error as a client sees it.

    Attributes:
        code: Stable name, snake_case; clients branch on it or on ``action``.
        status: HTTP status.
        action: What the client should do next.
        title_zh: What to show a user, in Simplified Chinese.
        title_en: The same in English.
        detail: What was wrong and what to do, for the developer who reads the reply.
        retry_after: Seconds after which the same request may succeed, if that is known.
    """

    code: str
    status: int
    action: Action
    title_zh: str
    title_en: str
    detail: str
    retry_after: int | None = None


INVALID_REQUEST = Problem(
    "invalid_request", 400, "fix_request", "请求有误", "The request is not valid",
    "The request does not have the form that this route expects.",
)  # fmt: skip
SESSION_INVALID = Problem(
    "session_invalid", 401, "login_again", "登录已过期，请重新登录",
    "Your login has expired, please log in again",
    "The Bearer token is missing, malformed, expired or logged out: call wx.login and POST "
    "/login, then send the new token.",
)  # fmt: skip
CLIENT_INVALID = Problem(
    "client_invalid", 401, "fix_request", "服务暂不可用，请联系客服",
    "The service is unavailable, please contact support",
    "The request needs HTTP Basic authentication with name and secret of a client that `make "
    "api-client` has made.",
)  # fmt: skip
USER_BLOCKED = Problem(
    "user_blocked", 403, "contact_support", "该微信账号存在风险，暂时无法登录",
    "This WeChat account cannot log in at the moment",
    "WeChat blocks this user as high-risk. Do not repeat the request.",
)  # fmt: skip
USER_RESTRICTED = Problem(
    "user_restricted", 403, "contact_support", "该微信账号暂时无法使用此功能",
    "This WeChat account may not use this function",
    "WeChat says that this user has not authorised the call or is limited. Do not repeat the "
    "request.",
)  # fmt: skip
WRONG_ADDRESS = Problem(
    "wrong_address", 403, "fix_request", "服务地址不正确", "This address is not the right one",
    "Requests reach this service only through the address in front of it: send them there.",
)  # fmt: skip
NO_SUCH_ROUTE = Problem(
    "no_such_route", 404, "fix_request", "请求地址或方法不正确", "There is no such route",
    "No route takes this method and path.",
)  # fmt: skip
ACCOUNT_REFUSED = Problem(
    "account_refused", 403, "contact_support", "该账号暂时无法使用，请联系客服",
    "This account cannot be used, please contact support",
    "The account function of this service's team refused this user. Do not repeat the request.",
)  # fmt: skip
APP_NOT_AUTHORIZED = Problem(
    "app_not_authorized", 403, "contact_support", "该小程序暂未授权，请联系商家",
    "This app has not authorised the service, please contact its owner",
    "The owner of this mini-program has not authorised the third-party platform of this service, "
    "or has withdrawn it, or appid is another one. Do not repeat the request.",
)  # fmt: skip
REQUEST_TOO_LARGE = Problem(
    "request_too_large", 413, "fix_request", "请求内容过大", "The request is too large",
    "The body may hold 16 KiB at most.",
)  # fmt: skip
LOGIN_CODE_REJECTED = Problem(
    "login_code_rejected", 422, "login_again", "登录失败，请重试", "Login failed, please try again",
    "WeChat does not accept this login code: it works once, for 5 minutes, and only in the app it "
    "was made in. Call wx.login and send the new code. If every code is rejected, the mini-program "
    "has another appid (project.config.json) than the one that is served here.",
)  # fmt: skip
PHONE_CODE_REJECTED = Problem(
    "phone_code_rejected", 422, "authorize_again", "获取手机号失败，请重新点击授权",
    "Could not get the phone number, please tap the button again",
    "WeChat does not accept this phone code: it works once, for 5 minutes, and only for the user "
    "who tapped. Let the user tap the getPhoneNumber button again and send e.detail.code.",
)  # fmt: skip
UNDECRYPTABLE = Problem(
    "undecryptable", 422, "login_again", "授权信息已失效，请重试",
    "The authorisation is no longer valid, please try again",
    "The data is not fresh data of this app for this user. Call wx.login and POST /login ahead of "
    "the tap, never inside its callback, then let the user tap once more.",
)  # fmt: skip
TOO_MANY_REQUESTS = Problem(
    "too_many_requests", 429, "wait", "操作过于频繁，请稍后再试",
    "Too many requests, please try again later",
    "WeChat's quota per minute is used up. Wait for Retry-After seconds.", retry_after=60,
)  # fmt: skip
TOO_MANY_FAILURES = Problem(
    "too_many_failures", 429, "wait", "失败次数过多，请明天再试",
    "Too many failed attempts, please try again tomorrow",
    "This user has used up today's failed decryptions. Wait for Retry-After seconds.",
    retry_after=3600,
)  # fmt: skip
INTERNAL_ERROR = Problem(
    "internal_error", 500, "contact_support", "服务异常，请稍后再试", "Something went wrong",
    "An error that this service does not know. Its operator finds it in the log under requestId.",
)  # fmt: skip
MISCONFIGURED = Problem(
    "misconfigured", 500, "contact_support", "服务暂不可用，请联系客服",
    "The service is unavailable, please contact support",
    "The service is not set up correctly. Its operator finds the cause and the remedy in the log "
    "under requestId.",
)  # fmt: skip
QUOTA_EXHAUSTED = Problem(
    "quota_exhausted", 503, "wait", "服务繁忙，请稍后再试", "The service is busy",
    "WeChat's daily quota of this app is used up. Wait for Retry-After seconds.",
    retry_after=3600,
)  # fmt: skip
STORAGE_UNAVAILABLE = Problem(
    "storage_unavailable", 503, "retry", "服务繁忙，请稍后再试", "The service is busy",
    "Storage did not answer in time. Send the same request again.", retry_after=1,
)  # fmt: skip
LOGIN_UNFINISHED = Problem(
    "login_unfinished", 503, "login_again", "登录未完成，请重试", "Login was not completed",
    "The login code was sent to WeChat, but the request could not be finished, and the code may be "
    "spent. Call wx.login and send the new code.",
)  # fmt: skip
WECHAT_UNAVAILABLE = Problem(
    "wechat_unavailable", 503, "retry", "微信服务繁忙，请稍后再试",
    "WeChat is busy, please try again",
    "WeChat did not answer properly. Send the same request again.", retry_after=2,
)  # fmt: skip
ACCOUNT_UNAVAILABLE = Problem(
    "account_unavailable", 503, "retry", "账号服务繁忙，请稍后再试",
    "The account service is busy, please try again",
    "The account function of this service's team failed or did not answer in time. Send the same "
    "request again: it costs no second consent.", retry_after=1,
)  # fmt: skip

PROBLEMS = (
    INVALID_REQUEST, SESSION_INVALID, CLIENT_INVALID, USER_BLOCKED, USER_RESTRICTED, WRONG_ADDRESS,
    ACCOUNT_REFUSED, APP_NOT_AUTHORIZED, NO_SUCH_ROUTE, REQUEST_TOO_LARGE, LOGIN_CODE_REJECTED,
    PHONE_CODE_REJECTED, UNDECRYPTABLE, TOO_MANY_REQUESTS, TOO_MANY_FAILURES, INTERNAL_ERROR,
    MISCONFIGURED, LOGIN_UNFINISHED, QUOTA_EXHAUSTED, STORAGE_UNAVAILABLE, WECHAT_UNAVAILABLE,
    ACCOUNT_UNAVAILABLE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Errcode:
    """What one of WeChat's errcodes means to us.

    Attributes:
        problem: What the client is told.
        remedy: What the operator must do, for the log; ``None`` if it is no operator's fault.
    """

    problem: Problem
    remedy: str | None = None


_OUR_BUG = Errcode(MISCONFIGURED, "WeChat calls our request malformed: report this as a bug")
_TOKEN_REFUSED = Errcode(
    MISCONFIGURED,
    "WeChat refuses the access_token even after renewal: make sure that no other server uses "
    "AccessTokenMode=classic or forced refreshes for this appid",
)
_SECRET = Errcode(
    MISCONFIGURED,
    "the AppSecret is wrong or was reset: copy it from the console (Development > Development "
    "settings) and store it again",
)
_ADDRESS = Errcode(
    MISCONFIGURED,
    "WeChat's IP whitelist does not hold the address this call came from: add it in the console, "
    "or switch the whitelist off, or deploy with a fixed egress address",
)
_PLATFORM = "open.weixin.qq.com > Management Center > Third-party platform > Development"
_PLATFORM_SECRET = Errcode(
    MISCONFIGURED,
    f"the platform's AppSecret is wrong or was reset: copy it from {_PLATFORM} and store it again",
)
_PLATFORM_TOKEN_REFUSED = Errcode(
    MISCONFIGURED,
    "WeChat refuses the component_access_token even after renewal: make sure that no other server "
    "fetches one for this platform, since each ends the one before",
)
_PLATFORM_ADDRESS = Errcode(
    MISCONFIGURED,
    "the platform's list of addresses does not hold the one this call came from: deploy with "
    f"FixedAddresses, enter the output WhitelistAddresses in {_PLATFORM}, and publish (values that "
    "were not published hold for test accounts alone)",
)
_TICKET = Errcode(
    MISCONFIGURED,
    "the component_verify_ticket is missing or too old: compare the URL for authorisation events, "
    f"Token and EncodingAESKey in {_PLATFORM} with docs/third-party-platform.md; pushes are "
    "restarted by themselves, and a ticket comes every 10 minutes",
)
_AUTHORISE_AGAIN = Errcode(
    MISCONFIGURED,
    "the authorisation has ended or cannot be used: its owner must authorise the platform again, "
    "by the link that make authorise prints",
)
_PERMISSIONS = Errcode(
    MISCONFIGURED,
    "permission set 18 is not granted to the third-party platform that runs this app: tick it in "
    f"{_PLATFORM}, then the app's owner must authorise the platform again (make authorise)",
)
_ACCOUNT = Errcode(
    MISCONFIGURED, "the account is frozen, barred or managed by a third party: see the console"
)
_UNSECURED = Errcode(
    MISCONFIGURED,
    "API security is on for this app in the console, and the call went out without: store its keys "
    "(docs/api-security.md), or switch API encryption off",
)
_KEYS_NOT_SET = Errcode(
    MISCONFIGURED,
    "the console has no key of this app's API security: generate the symmetric key and the key "
    "pair there, download both and store them, see docs/api-security.md",
)

ERRCODES: dict[int, Errcode] = {
    -1: Errcode(WECHAT_UNAVAILABLE),
    1: Errcode(UNDECRYPTABLE),
    40001: _TOKEN_REFUSED,
    40002: _OUR_BUG,
    40003: Errcode(SESSION_INVALID),
    40013: Errcode(
        MISCONFIGURED,
        "the appid is wrong, or the code belongs to another app: compare WeChatAppIds with the "
        "console and with the mini-program's project.config.json",
    ),
    40014: _TOKEN_REFUSED,
    40029: Errcode(LOGIN_CODE_REJECTED),
    40066: _OUR_BUG,
    40090: _ADDRESS,
    40097: _OUR_BUG,
    40125: _SECRET,
    40163: Errcode(LOGIN_CODE_REJECTED),
    40164: _ADDRESS,
    40170: _OUR_BUG,
    40226: Errcode(USER_BLOCKED),
    **dict.fromkeys(range(40230, 40234), _UNSECURED),
    40234: Errcode(
        MISCONFIGURED,
        "WeChat does not accept the signature: privateKey in apiSecurity is not the one whose "
        "public key the console has (what it offers for download first may be the public key); "
        "download it again and store it, see docs/api-security.md",
    ),
    40235: Errcode(
        MISCONFIGURED,
        "WeChat cannot decrypt the call: symmetricKey in apiSecurity, or its number, is not the "
        "one in the console; download it again and store it, see docs/api-security.md",
    ),
    40236: _OUR_BUG,
    40237: Errcode(
        MISCONFIGURED,
        "the keys in apiSecurity are signed for one app and the access_token is another's: make "
        "sure that each appid has its own AppSecret and its own keys",
    ),
    40238: _KEYS_NOT_SET,
    40239: _KEYS_NOT_SET,
    40240: Errcode(
        MISCONFIGURED,
        "WeChat finds the time of the call wrong: correct the clock of the machine; on Lambda, "
        "report this as a bug",
    ),
    40243: Errcode(MISCONFIGURED, "the AppSecret is frozen: unfreeze it in the console"),
    41001: _OUR_BUG,
    41002: _OUR_BUG,
    41004: _OUR_BUG,
    41008: Errcode(INVALID_REQUEST),
    41018: _OUR_BUG,
    42001: _TOKEN_REFUSED,
    42007: _AUTHORISE_AGAIN,
    43001: _OUR_BUG,
    43002: _OUR_BUG,
    43003: Errcode(MISCONFIGURED, "WeChat takes HTTPS alone: correct WeChatBaseUrls"),
    44002: _OUR_BUG,
    45009: Errcode(
        QUOTA_EXHAUSTED,
        "WeChat's daily quota for this call is used up: see the console for what used it, and "
        "for clearing it",
    ),
    45011: Errcode(TOO_MANY_REQUESTS),
    45035: _PLATFORM_ADDRESS,
    47001: _OUR_BUG,
    48001: Errcode(
        MISCONFIGURED,
        "the app may not use this call: getPhoneNumber needs a verified, non-personal account "
        "and a paid quota",
    ),
    48004: Errcode(MISCONFIGURED, "the call is barred as a punishment: see the console's notices"),
    50001: Errcode(USER_RESTRICTED),
    50002: Errcode(USER_RESTRICTED),
    50004: _ACCOUNT,
    50007: _ACCOUNT,
    61003: Errcode(
        APP_NOT_AUTHORIZED,
        "WeChat says that this app has not authorised the platform: if it lasts, see make "
        "merchants, and send the app's owner the link that make authorise prints",
    ),
    61004: _PLATFORM_ADDRESS,
    61005: _TICKET,
    61006: _TICKET,
    61007: _PERMISSIONS,
    61009: _AUTHORISE_AGAIN,
    61010: _AUTHORISE_AGAIN,
    61011: Errcode(
        MISCONFIGURED,
        "WeChat knows no third-party platform by this appid: compare ComponentAppId with "
        f"{_PLATFORM}; a mini-program's appid belongs into WeChatAppIds",
    ),
    61014: _OUR_BUG,
    61015: _OUR_BUG,
    61016: _PERMISSIONS,
    61017: _PERMISSIONS,
    61023: _AUTHORISE_AGAIN,
    61024: _ACCOUNT,
    87007: Errcode(UNDECRYPTABLE),
    87008: _OUR_BUG,
    87009: Errcode(UNDECRYPTABLE),
    89501: Errcode(
        MISCONFIGURED,
        "an administrator of the mini-program must confirm the address this call came from: WeChat "
        "has asked them in a message",
    ),
    89503: _ADDRESS,
    89506: _ADDRESS,
    89507: _ADDRESS,
}
"""errcode → meaning, unless it depends on the call."""

ERRCODES_OF_CALL: dict[tuple[str, int], Errcode] = {
    ("getStableAccessToken", 40001): _SECRET,
    ("getAccessToken", 40001): _SECRET,
    ("code2Session", 40001): _SECRET,
    ("code2Session", 40003): _OUR_BUG,
    ("getComponentAccessToken", 40001): _PLATFORM_SECRET,
    ("getComponentAccessToken", 40125): _PLATFORM_SECRET,
    ("startPushTicket", 40001): _PLATFORM_SECRET,
    ("startPushTicket", 40125): _PLATFORM_SECRET,
    ("getAuthorizerAccessToken", 40001): _PLATFORM_TOKEN_REFUSED,
    ("getAuthorizerRefreshToken", 40001): _PLATFORM_TOKEN_REFUSED,
    ("thirdpartyCode2Session", 40001): _PLATFORM_TOKEN_REFUSED,
    ("thirdpartyCode2Session", 40003): _OUR_BUG,
    ("checkEncryptedData", 48001): Errcode(
        MISCONFIGURED,
        "the app may not use checkEncryptedData: see the console, or deploy with "
        "CheckEncryptedData=false, which gives up the proof that WeChat made a phone number",
    ),
    # The access_token is the app's, so it is the code that is another app's.
    ("getPhoneNumber", 40013): Errcode(INVALID_REQUEST),
    ("getPhoneNumber", 40029): Errcode(PHONE_CODE_REJECTED),
    ("getPhoneNumber", 40163): Errcode(PHONE_CODE_REJECTED),
}
"""(call, errcode) → meaning, when the errcode means something else for that call."""

UNKNOWN_ERRCODE = Errcode(
    WECHAT_UNAVAILABLE, "an errcode that is not in the table: look it up with its rid"
)

TOKEN_REFUSED = frozenset({40001, 40014, 42001})
"""errcodes by which a call refuses its access_token (elsewhere 40001 may mean AppSecret)."""
APP_SECRET_REFUSED = frozenset({40001, 40125})
"""errcodes by which code2Session and the token calls refuse the AppSecret."""
CODE_INVALID = 40029
"""The errcode of a login or phone code that is unknown, of the other kind or expired."""
APPID_INVALID = 40013
"""The errcode of an appid that is wrong; of getPhoneNumber, of a code that is another app's."""
ADDRESS_REFUSED = frozenset({40164, 45035, 61004})
"""errcodes of a call from an address that the IP whitelist does not hold."""
NOT_AUTHORIZED = 61003
"""The errcode of an app that has not authorised the platform; it comes and goes at times."""
REFRESH_TOKEN_INVALID = 61023
"""The errcode of a merchant's refresh token that is lost, or was replaced."""
AUTHORISE_AGAIN = frozenset({NOT_AUTHORIZED, REFRESH_TOKEN_INVALID, 42007})
"""errcodes that as a rule last until the merchant authorises the platform again."""
AUTHORIZATION_CODE_SPENT = frozenset({61009, 61010})
"""errcodes of an authorisation code that was used, or is too old."""
API_SECURITY_REFUSED = frozenset(range(40230, 40240))
"""errcodes by which a call is refused for its keys (API security), before WeChat looks into it."""
NOT_MADE_BY_WECHAT = 1
"""The errcode by which checkEncryptedData says no."""
KEY_NOT_LIVE = frozenset({87007, 87009})
"""errcodes of a session_key that a later wx.login has replaced, or that has expired."""


class AuthError(Exception):
    """An error that a client is answered with.

    Args:
        problem: What kind.
        detail: Instead of the kind's own detail, when more can be said. Never holds a secret.
        errcode: WeChat's errcode, for the log.
        rid: WeChat's request id, for the client and the log.
        remedy: What the operator must do; makes it an operator's fault in log and metric.
        reason: What happened, for the log, like ``GetItem: ThrottlingException``. Holds no URL.
        retry_after: Instead of the kind's own, in seconds.
        call: Name of the call that failed, as WeChat has it (``code2Session``), for the log.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str | None = None,
        *,
        errcode: int | None = None,
        rid: str | None = None,
        remedy: str | None = None,
        reason: str | None = None,
        retry_after: int | None = None,
        call: str | None = None,
    ) -> None:
        self.problem = self.origin = problem
        self.detail = detail or problem.detail
        self.errcode = errcode
        self.rid = rid
        self.remedy = remedy
        self.reason = reason
        self.retry_after = problem.retry_after if retry_after is None else retry_after
        self.call = call
        super().__init__(f"{problem.code}: {self.detail}")

    def answered_as(self, problem: Problem, detail: str | None = None) -> "AuthError":
        """Return the same error for the log and the metrics, answered to the client as another."""
        other = AuthError(
            problem, detail, errcode=self.errcode, rid=self.rid, remedy=self.remedy,
            reason=self.reason, call=self.call,
        )  # fmt: skip
        other.origin = self.origin
        return other


class WeChatError(AuthError):
    """WeChat answered an errcode.

    Args:
        call: WeChat's name of the call, like ``code2Session``.
        errcode: What it answered.
        rid: WeChat's request id, if it gave one.
        address: The caller's address, if WeChat named it.
    """

    def __init__(
        self, call: str, errcode: int, rid: str | None = None, address: str | None = None
    ) -> None:
        meaning = ERRCODES_OF_CALL.get((call, errcode)) or ERRCODES.get(errcode, UNKNOWN_ERRCODE)
        remedy = meaning.remedy
        if remedy and address:
            remedy = f"{remedy} (the address is {address})"
        super().__init__(meaning.problem, errcode=errcode, rid=rid, remedy=remedy, call=call)


class WeChatUnavailableError(AuthError):
    """WeChat could not be reached, or its answer was none.

    Args:
        call: WeChat's name of the call.
        reason: What happened, like ``no answer in time``; holds no URL.
        sent: Whether the request may have arrived, and a code in it be spent.
    """

    def __init__(self, call: str, reason: str, *, sent: bool = True) -> None:
        super().__init__(WECHAT_UNAVAILABLE, reason=reason, call=call)
        self.sent = sent


class AccountRefusedError(AuthError):
    """The team's account function refused a user.

    Args:
        title: What it wants the user to be shown, or ``None``.
        code: Its own name of the reason for the client, or ``None``.
    """

    def __init__(self, title: str | None, code: str | None) -> None:
        super().__init__(ACCOUNT_REFUSED)
        self.title = title
        self.code = code


def invalid_field(field: str, expectation: str) -> AuthError:
    """Make the 400 that names a field and what it must be; it never quotes what was sent."""
    return AuthError(INVALID_REQUEST, f"{field}: {expectation}")


def misconfigured(remedy: str, *, errcode: int | None = None) -> AuthError:
    """Make the 500 whose cause only the log tells, with what the operator must do."""
    return AuthError(MISCONFIGURED, errcode=errcode, remedy=remedy)
