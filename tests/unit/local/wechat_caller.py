"""A plain caller of the simulated WeChat over HTTP: what it sends is what the tests say."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import urllib3

from local.simulated_wechat import App, SimulatedWeChat, serve

APPID = "wx0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
OTHER_APPID = "wxfedcba9876543210"

Document = dict[str, Any]


def two_apps() -> SimulatedWeChat:
    return SimulatedWeChat(apps=[App(APPID, SECRET, cloud=True), App(OTHER_APPID, SECRET)])


class Caller:
    """Sends requests to WeChat's endpoints and returns the documents they answer."""

    def __init__(self, url: str, http: urllib3.PoolManager) -> None:
        self.url = url
        self.http = http

    def request(
        self, method: str, path: str, query: Document | None = None, body: object = None
    ) -> urllib3.BaseHTTPResponse:
        target = f"{self.url}{path}?{urlencode(query or {})}"
        if isinstance(body, bytes):
            return self.http.request(method, target, body=body)
        return self.http.request(method, target, json=body)

    def call(
        self, method: str, path: str, query: Document | None = None, body: object = None
    ) -> Document:
        response = self.request(method, path, query, body)
        assert response.status == 200
        document: Document = response.json()
        return document

    def code2session(self, code: str, **changes: str | None) -> Document:
        query = {
            "appid": APPID,
            "secret": SECRET,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        return self.call("GET", "/sns/jscode2session", _changed(query, changes))

    def stable_token(self, *, force: bool = False, **changes: Any) -> Document:
        body: Document = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
        if force:
            body["force_refresh"] = True
        return self.call("POST", "/cgi-bin/stable_token", body=_changed(body, changes))

    def classic_token(self, **changes: str | None) -> Document:
        query = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
        return self.call("GET", "/cgi-bin/token", _changed(query, changes))

    def token(self, appid: str = APPID) -> str:
        return str(self.stable_token(appid=appid)["access_token"])

    def phone_number(self, token: str, code: str, **more: object) -> Document:
        path = "/wxa/business/getuserphonenumber"
        return self.call("POST", path, {"access_token": token}, {"code": code, **more})

    def check_session(
        self, token: str, openid: str, session_key: str, /, **changes: str
    ) -> Document:
        query = _signed(token, openid, session_key) | changes
        return self.call("GET", "/wxa/checksession", query)

    def reset_session(self, token: str, openid: str, session_key: str) -> Document:
        query = _signed(token, openid, session_key)
        return self.call("GET", "/wxa/resetusersessionkey", query)

    def check_encrypted(self, token: str, encrypted_data: str) -> Document:
        digest = hashlib.sha256(encrypted_data.encode()).hexdigest()
        path = "/wxa/business/checkencryptedmsg"
        return self.call("POST", path, {"access_token": token}, {"encrypted_msg_hash": digest})

    def open_data(self, token: str, openid: str, cloud_id: str | None) -> Document:
        query = {"access_token": token, "openid": openid}
        return self.call("POST", "/wxa/getopendata", query, {"cloudid_list": [cloud_id]})


@contextmanager
def calling(wechat: SimulatedWeChat) -> Iterator[Caller]:
    """Serve the simulation and yield a caller of it; nothing is ever retried."""
    with serve(wechat) as server, urllib3.PoolManager(retries=False, timeout=10) as http:
        yield Caller(server.url, http)


def without_rid(document: Document) -> Document:
    """Cut the rid off errmsg."""
    errmsg, _, _ = document["errmsg"].partition(" rid: ")
    return {**document, "errmsg": errmsg}


def _changed(fields: dict[str, Any], changes: dict[str, Any]) -> Document:
    """Apply changes; None takes a field away."""
    return {name: value for name, value in (fields | changes).items() if value is not None}


def _signed(token: str, openid: str, session_key: str) -> Document:
    signature = hmac.new(session_key.encode(), b"", hashlib.sha256).hexdigest()
    return {
        "access_token": token,
        "openid": openid,
        "signature": signature,
        "sig_method": "hmac_sha256",
    }
