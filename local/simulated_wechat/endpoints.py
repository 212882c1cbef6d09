"""The eight endpoints: what each checks, in which order, and what it answers."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from . import platform_calls
from .errors import WeChatError
from .open_data import session_signature, to_json
from .people import Person, new_session_key
from .request import Request
from .world import App, World

Reply = dict[str, object]

_OK: Final[Mapping[str, object]] = {"errcode": 0, "errmsg": "ok"}


def code2session(world: World, request: Request) -> Reply:
    """Exchange a login code: answers openid and session_key, and no errcode."""
    appid = request.parameter("appid", missing=41002)
    secret = request.parameter("secret", missing=41004)
    text = request.parameter("js_code", missing=41008)
    if request.query.get("grant_type") != "authorization_code":
        raise WeChatError(40002)
    app = world.app(appid)
    _check_secret(app, secret, errcode=40125)
    world.quotas.count("code2Session", appid)
    return world.exchange_login_code(appid, text)


def get_stable_access_token(world: World, request: Request) -> Reply:
    """Answer the valid access_token, or by force a new one."""
    body = request.json()
    app = _token_caller(world, request, body)
    force = body.get("force_refresh", False)
    if not isinstance(force, bool):
        raise WeChatError(47001)
    world.quotas.count("getStableAccessToken", app.appid)
    token, expires_in = world.tokens.stable(app.appid, force=force)
    return {"access_token": token, "expires_in": expires_in}


def get_access_token(world: World, request: Request) -> Reply:
    """Answer a new access_token that replaces the last classic one."""
    app = _token_caller(world, request, request.query)
    world.quotas.count("getAccessToken", app.appid)
    token, expires_in = world.tokens.classic(app.appid)
    return {"access_token": token, "expires_in": expires_in}


def get_phone_number(world: World, request: Request) -> Reply:
    """Exchange a phone code for the number."""
    app = _app_by_token(world, request, "getPhoneNumber")
    if not app.phone_api:
        raise WeChatError(48001)
    body = request.json()
    code = world.codes.find("phone", _text(body, "code", missing=41008))
    openid = body.get("openid")
    if code.person.appid != app.appid:
        raise WeChatError(40013)
    if code.used or (openid is not None and openid != code.person.openid):
        raise WeChatError(40029)
    code.use()
    world.billed.exchanges[code.text] += 1
    return {**_OK, "phone_info": dict(code.phone_info)}


def check_session_key(world: World, request: Request) -> Reply:
    """Tell whether the caller's session_key is the live one."""
    _signed_by(world, request, "checkSessionKey")
    return dict(_OK)


def reset_user_session_key(world: World, request: Request) -> Reply:
    """Replace the live session_key on behalf of a caller that holds it."""
    person = _signed_by(world, request, "resetUserSessionKey")
    person.session_key = new_session_key()
    return {**_OK, "openid": person.openid, "session_key": person.session_key}


def check_encrypted_data(world: World, request: Request) -> Reply:
    """Tell whether WeChat made a phone ciphertext in the last three days, for this app."""
    app = _app_by_token(world, request, "checkEncryptedData")
    if not app.phone_api:
        raise WeChatError(48001)
    digest = _text(request.json(), "encrypted_msg_hash", missing=40097)
    created = world.open_data.created(app.appid, digest)
    if created is not None:
        return {**_OK, "vaild": True, "create_time": created}
    errcode = world.settings.unknown_ciphertext_errcode
    status = WeChatError(errcode).reply(world.clock.now()) if errcode else _OK
    return {**status, "vaild": False, "create_time": 0}


def get_open_data(world: World, request: Request) -> Reply:
    """Exchange cloudIDs for the open data behind them."""
    app = _app_by_token(world, request, "getOpenData")
    if not app.cloud:
        raise WeChatError(48001)
    openid = request.query.get("openid", "")
    if (app.appid, openid) not in world.people:
        raise WeChatError(40003)
    cloud_ids = request.json().get("cloudid_list")
    if not isinstance(cloud_ids, list) or not all(isinstance(each, str) for each in cloud_ids):
        raise WeChatError(47001)
    data_list = []
    for cloud_id in cloud_ids:
        data = world.open_data.by_cloud_id(app.appid, openid, cloud_id)
        item: Reply = {"cloudID": cloud_id}
        # How WeChat words the error of one item is not published: inferred.
        item |= {"data": data} if data else {"errCode": -1, "errMsg": "invalid cloudID"}
        as_object = world.settings.open_data_as_object
        data_list.append({"cloud_id": cloud_id, "json": item if as_object else to_json(item)})
    return {**_OK, "data_list": data_list}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of WeChat's server API.

    Attributes:
        name: WeChat's name for it.
        method: The only HTTP method it takes.
        answer: Its rules.
    """

    name: str
    method: Literal["GET", "POST"]
    answer: Callable[[World, Request], Reply]

    def __call__(self, world: World, request: Request) -> Reply:
        """Answer a request.

        Raises:
            WeChatError: If WeChat refuses it.
        """
        if request.method != self.method:
            raise WeChatError(43001 if self.method == "GET" else 43002)
        return self.answer(world, request)


BY_PATH: Final = {
    "/sns/jscode2session": Endpoint("code2Session", "GET", code2session),
    "/cgi-bin/stable_token": Endpoint("getStableAccessToken", "POST", get_stable_access_token),
    "/cgi-bin/token": Endpoint("getAccessToken", "GET", get_access_token),
    "/wxa/business/getuserphonenumber": Endpoint("getPhoneNumber", "POST", get_phone_number),
    "/wxa/checksession": Endpoint("checkSessionKey", "GET", check_session_key),
    "/wxa/resetusersessionkey": Endpoint("resetUserSessionKey", "GET", reset_user_session_key),
    "/wxa/business/checkencryptedmsg": Endpoint("checkEncryptedData", "POST", check_encrypted_data),
    "/wxa/getopendata": Endpoint("getOpenData", "POST", get_open_data),
    "/sns/component/jscode2session": Endpoint(
        "thirdpartyCode2Session", "GET", platform_calls.code2session
    ),
    "/cgi-bin/component/api_component_token": Endpoint(
        "getComponentAccessToken", "POST", platform_calls.component_access_token
    ),
    "/cgi-bin/component/api_start_push_ticket": Endpoint(
        "startPushTicket", "POST", platform_calls.start_push_ticket
    ),
    "/cgi-bin/component/api_create_preauthcode": Endpoint(
        "getPreAuthCode", "POST", platform_calls.pre_auth_code
    ),
    "/cgi-bin/component/api_query_auth": Endpoint(
        "getAuthorizerRefreshToken", "POST", platform_calls.query_auth
    ),
    "/cgi-bin/component/api_authorizer_token": Endpoint(
        "getAuthorizerAccessToken", "POST", platform_calls.authorizer_access_token
    ),
    "/cgi-bin/component/api_get_authorizer_list": Endpoint(
        "getAuthorizerList", "POST", platform_calls.authorizer_list
    ),
}


def _text(fields: Mapping[str, object], name: str, missing: int) -> str:
    value = fields.get(name)
    if value is None or value == "":
        raise WeChatError(missing)
    if not isinstance(value, str):
        raise WeChatError(47001)
    return value


def _check_secret(app: App, secret: str, errcode: int) -> None:
    if not hmac.compare_digest(app.secret.encode(), secret.encode()):
        raise WeChatError(errcode)


def _token_caller(world: World, request: Request, fields: Mapping[str, object]) -> App:
    """Return the app that asks for an access_token, if it may."""
    if fields.get("grant_type") != "client_credential":
        raise WeChatError(40002)
    appid = _text(fields, "appid", missing=41002)
    secret = _text(fields, "secret", missing=41004)
    app = world.app(appid)
    _check_secret(app, secret, world.settings.wrong_secret_errcode)
    if app.ip_whitelist and request.ip not in app.ip_whitelist:
        address = f"{request.ip} ipv6 ::ffff:{request.ip}"
        raise WeChatError(40164, f"invalid ip {address}, not in whitelist")
    return app


def _app_by_token(world: World, request: Request, endpoint: str) -> App:
    token = request.parameter("access_token", missing=41001)
    owner = world.tokens.owner(token)
    platform_calls.check_permission(world, owner, token)
    app = world.app(owner)
    world.quotas.count(endpoint, app.appid)
    return app


def _signed_by(world: World, request: Request, endpoint: str) -> Person:
    """Return the user named by `openid` whose live session_key made `signature`."""
    app = _app_by_token(world, request, endpoint)
    openid = request.parameter("openid", missing=40097)
    signature = request.parameter("signature", missing=40097)
    if request.parameter("sig_method", missing=40097) != "hmac_sha256":
        raise WeChatError(87008)
    person = world.people.get((app.appid, openid))
    if person is None or person.session_key is None:
        raise WeChatError(87007)
    expected = session_signature(person.session_key)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise WeChatError(87009)
    return person
