"""The simulation over HTTP, for other processes: phones under /_phone/, the rest /_control/.

Bodies and answers are JSON objects; an empty body is an empty object. No answer holds a secret.
"""

import base64
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from .errors import WeChatError
from .faults import Fault
from .message_push import Answered
from .phone import Phone
from .quotas import Quota
from .request import Request

if TYPE_CHECKING:
    from .simulation import SimulatedWeChat

Document = dict[str, Any]


def owns(path: str) -> bool:
    """Whether `path` is one of the simulation's own rather than WeChat's."""
    return path.startswith(("/_control", "/_phone"))


def respond(wechat: "SimulatedWeChat", request: Request) -> tuple[int, Document]:
    """Answer a control or phone request with an HTTP status and a document."""
    route = ROUTES.get((request.method, request.path))
    if route is None:
        known = [f"{method} {path}" for method, path in ROUTES]
        return 404, {"error": f"no {request.method} {request.path} here", "routes": known}
    try:
        return 200, route(wechat, request.json() if request.body else {})
    except (WeChatError, ValueError, TypeError, KeyError, AttributeError) as error:
        return 400, {"error": f"{type(error).__name__}: {error}"}


def _phone(wechat: "SimulatedWeChat", body: Document) -> Phone:
    """Take what says whose phone it is out of the body; by default always the same phone."""
    who = {key: body.pop(key) for key in ("appid", "number", "country_code") if key in body}
    return wechat.phone(name=body.pop("phone", "default"), **who)


def _login(wechat: "SimulatedWeChat", body: Document) -> Document:
    phone = _phone(wechat, body)
    return {"code": phone.login(), "openid": phone.openid}


def _tap(wechat: "SimulatedWeChat", body: Document) -> Document:
    picked = body.pop("tap", {})
    return asdict(_phone(wechat, body).tap_phone_number(**picked))


def _user_info(wechat: "SimulatedWeChat", body: Document) -> Document:
    phone = _phone(wechat, body)
    return asdict(phone.user_info(watermark_age=body.get("watermark_age", 0)))


def _encrypt(wechat: "SimulatedWeChat", body: Document) -> Document:
    plaintext = body.pop("plaintext", None)
    if plaintext is None:
        plaintext = base64.b64decode(body.pop("plaintext_base64"), validate=True)
    encrypted_data, iv = _phone(wechat, body).encrypt(plaintext, body.get("session_key"))
    return {"encrypted_data": encrypted_data, "iv": iv}


def _expire_session_key(wechat: "SimulatedWeChat", body: Document) -> Document:
    _phone(wechat, body).expire_session_key()
    return {}


def _withdraw(wechat: "SimulatedWeChat", body: Document) -> Document:
    _phone(wechat, body).withdraw(body.get("revoke_info", "8"))
    return {}


def _close_account(wechat: "SimulatedWeChat", body: Document) -> Document:
    _phone(wechat, body).close_account()
    return {}


def _spend(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.spend_code(body["code"])
    return {}


def _state(wechat: "SimulatedWeChat", _: Document) -> Document:
    apps = [asdict(app) for app in wechat.apps]
    for app in apps:
        del app["secret"]
    switches = {appid: security.on for appid, security in wechat.api_security.items()}
    return {
        "apps": apps,
        "api_security": switches,
        "pushed_to": wechat.message_push().url,
        "platform": wechat.platform.appid if wechat.platform else None,
        "settings": asdict(wechat.settings),
        **_clock(wechat, {}),
    }


def _clock(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.clock.advance(body.get("advance", 0))
    return {"now": wechat.clock.now(), "offset": wechat.clock.offset}


def _faults(wechat: "SimulatedWeChat", _: Document) -> Document:
    return {"faults": [asdict(fault) for fault in wechat.faults]}


def _add_fault(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.faults.add(Fault(**body))
    return _faults(wechat, {})


def _clear_faults(wechat: "SimulatedWeChat", _: Document) -> Document:
    wechat.faults.clear()
    return _faults(wechat, {})


def _calls(wechat: "SimulatedWeChat", _: Document) -> Document:
    return {"calls": [asdict(call) for call in wechat.calls], "counts": wechat.counts()}


def _billed(wechat: "SimulatedWeChat", _: Document) -> Document:
    billed = wechat.billed
    return {
        "taps": billed.taps,
        "exchanges": dict(billed.exchanges),
        "arrivals": dict(billed.arrivals),
    }


def _settings(wechat: "SimulatedWeChat", body: Document) -> Document:
    known = asdict(wechat.settings)
    if unknown := body.keys() - known:
        raise ValueError(f"no setting {', '.join(unknown)}: use {', '.join(known)}")
    for name, value in body.items():
        setattr(wechat.settings, name, value)
    return asdict(wechat.settings)


def _quota(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.set_quota(body.pop("endpoint"), Quota(**body))
    return {}


def _change_app(wechat: "SimulatedWeChat", body: Document) -> Document:
    apps = {app.appid: app for app in wechat.apps}
    if "ip_whitelist" in body:
        body["ip_whitelist"] = tuple(body["ip_whitelist"])
    wechat.put_app(replace(apps[body["appid"]], **body))
    return {}


def _api_security(wechat: "SimulatedWeChat", body: Document) -> Document:
    security = wechat.api_security[body["appid"]]
    security.on = body.get("on", security.on)
    match body.get("replace"):
        case "symmetric_key":
            security.replace_symmetric_key()
        case "key_pair":
            security.replace_key_pair()
        case "certificate":
            security.replace_certificate()
    downloads = (security.symmetric_key, security.private_key, security.certificate)
    symmetric_key, private_key, certificate = (each.number for each in downloads)
    return {
        "on": security.on,
        "numbers": {
            "symmetric_key": symmetric_key,
            "private_key": private_key,
            "certificate": certificate,
        },
    }


def _push(wechat: "SimulatedWeChat", body: Document) -> Document:
    push = wechat.message_push(body.get("appid"))
    push.xml = body.get("xml", push.xml)
    if body.get("replace") == "encoding_aes_key":
        push.replace_key()
    if "url" in body:
        asked = push.verification()
        if asked.send(body["url"]) != Answered(200, asked.query["echostr"]):
            raise ValueError("the URL does not answer the echostr, so it is not saved")
        push.url = body["url"]
    return {"url": push.url, "xml": push.xml}


def _deliveries(wechat: "SimulatedWeChat", body: Document) -> Document:
    deliveries = wechat.deliveries
    for name in ("delay", "copies", "newest_first"):
        setattr(deliveries, name, body.get(name, getattr(deliveries, name)))
    made = wechat.deliver()
    return {"heard": sum(each.is_heard for each in made), "attempts": len(made)}


def _authorize(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.authorize(body.pop("appid"), **body)
    return {}


def _unauthorize(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.withdraw(body["appid"])
    return {}


def _revoke(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.revoke_access_token(**body)
    return {}


def _refuse_all(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.refuse_all_tokens(**body)
    return {}


def _accept(wechat: "SimulatedWeChat", body: Document) -> Document:
    wechat.accept_tokens(**body)
    return {}


ROUTES: Final[dict[tuple[str, str], Callable[["SimulatedWeChat", Document], Document]]] = {
    ("POST", "/_phone/login"): _login,
    ("POST", "/_phone/tap"): _tap,
    ("POST", "/_phone/user-info"): _user_info,
    ("POST", "/_phone/encrypt"): _encrypt,
    ("POST", "/_phone/expire-session-key"): _expire_session_key,
    ("POST", "/_phone/withdraw"): _withdraw,
    ("POST", "/_phone/close-account"): _close_account,
    ("GET", "/_control"): _state,
    ("GET", "/_control/clock"): _clock,
    ("POST", "/_control/clock"): _clock,
    ("GET", "/_control/faults"): _faults,
    ("POST", "/_control/faults"): _add_fault,
    ("DELETE", "/_control/faults"): _clear_faults,
    ("GET", "/_control/calls"): _calls,
    ("GET", "/_control/billed"): _billed,
    ("POST", "/_control/codes/spend"): _spend,
    ("POST", "/_control/settings"): _settings,
    ("POST", "/_control/quotas"): _quota,
    ("POST", "/_control/apps"): _change_app,
    ("POST", "/_control/api-security"): _api_security,
    ("POST", "/_control/push"): _push,
    ("POST", "/_control/deliveries"): _deliveries,
    ("POST", "/_control/platform/authorize"): _authorize,
    ("POST", "/_control/platform/withdraw"): _unauthorize,
    ("POST", "/_control/tokens/revoke"): _revoke,
    ("POST", "/_control/tokens/refuse-all"): _refuse_all,
    ("POST", "/_control/tokens/accept"): _accept,
}
"""What each route takes:

/_phone/*: `phone` (a name, "default"), `appid` (the first app), and for a phone not seen before
`number`, `country_code`. tap: `tap` {`number`, `country_code`, `watermark_age`}. user-info:
`watermark_age`. encrypt: `plaintext` (object) or `plaintext_base64`, `session_key`. withdraw:
`revoke_info` ("8", the phone number).

/_control/*: clock `advance` (seconds); codes/spend `code`; faults the fields of Fault; settings
those of Settings; quotas `endpoint`, `per_minute`, `per_day`; apps `appid` and the fields of App
to change; api-security `appid` of an app that has it, `on`, and `replace` (symmetric_key, key_pair
or certificate); push `appid` (the first app), `xml`, `replace` (encoding_aes_key), and `url`, which
is saved if it verifies itself; deliveries `delay` (seconds), `copies` and `newest_first` of what is
pushed from now on, and what is due is pushed at once; platform/authorize `appid` of a merchant and
`permissions`, platform/withdraw `appid`; tokens/* `appid`, `errcode`, and for revoke `sticky`.
"""
