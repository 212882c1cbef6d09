"""What every contestant meets: the same settings, the same requests, the same answers."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from Crypto.Cipher import AES

from infra.api_client import hash_of
from local.simulated_wechat import MessagePush
from local.simulated_wechat.clock import Clock
from local.stack import push_keys
from local.template import REGION
from wechat_auth.backend import Backend
from wechat_auth.settings import Settings
from wechat_auth.storage import Aws, Table
from wechat_auth.wechat import Code2Session
from wechat_crypto import KeyRing

APPID: Final = "wx0123456789abcdef"
SESSION_KEY: Final = base64.b64encode(b"0123456789abcdef").decode()
IV: Final = base64.b64encode(b"fedcba9876543210").decode()
NUMBER: Final = "13800138000"
STARTED: Final = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
"""What Lambda tells an environment that it starts for a request."""
_OPENID: Final = "oLatQ5MAkyobBs2IOTNJEfJkZ6Zk"
_UNIONID: Final = "oLatQ5MAkyobBs2IOTNJEfJkZ6Zl"
_SECRET: Final = "0123456789abcdef" * 2
_BASIC: Final = {
    "authorization": f"Basic {base64.b64encode(f'bench:{_SECRET}'.encode()).decode()}",
    "content-type": "application/x-www-form-urlencoded",
}
KEY_RING: Final = json.dumps({"current": "k1", "k1": "0123456789abcdef" * 4})
SECURED: Final = "AppSecretsWithApiSecurity"
"""Id of the AppSecrets of the same app, if it has API security."""
_TOKEN: Final = "A" * 136
_PHONE: Final = {"phoneNumber": NUMBER, "purePhoneNumber": NUMBER, "countryCode": "86"}
_LIFE: Final = 86_400
_USER_EVENT: Final = {"event": "user_info_modified", "appid": APPID, "at": 0, "openid": _OPENID}


@dataclass(frozen=True, slots=True)
class Scene:
    """The requests, by the name of their function, and the answers of AWS and WeChat.

    Attributes:
        events: What API Gateway would send.
        answers: See ``stub_services``.
    """

    events: Mapping[str, dict[str, Any]]
    answers: Mapping[str, object]


def encrypt(document: Mapping[str, object]) -> str:
    """Encrypt open data as WeChat does."""
    watermark = {"timestamp": int(time.time()), "appid": APPID}
    plain = json.dumps({**document, "watermark": watermark}).encode()
    padding = 16 - len(plain) % 16
    cipher = AES.new(base64.b64decode(SESSION_KEY), AES.MODE_CBC, iv=base64.b64decode(IV))
    return base64.b64encode(cipher.encrypt(plain + bytes([padding]) * padding)).decode()


def scene(environment: Mapping[str, str]) -> Scene:
    """Make the requests and answers for a deployment with these settings."""
    sessions, access_tokens = environment["SESSIONS_TABLE"], environment["ACCESS_TOKENS_TABLE"]
    token, item = _session(environment)
    bearer = {"authorization": f"Bearer {token}"}
    encrypted = {"encryptedData": encrypt(_PHONE), "iv": IV}
    push = MessagePush(APPID, Clock())
    pushed = push.event("user_info_modified", _OPENID)
    events = {
        "login": _event("POST /login", {"code": "0a1B" * 8}),
        "phone": _event("POST /phone", {"code": "0a1b" * 16}, bearer),
        "decrypt": _event("POST /decrypt", encrypted, bearer),
        "session": _event("GET /session", None, bearer),
        "authorizer": {"headers": bearer, "requestContext": {"requestId": "bench"}},
        "introspect": _event("POST /introspect", None, _BASIC)
        | {"body": base64.b64encode(f"token={token}".encode()).decode(), "isBase64Encoded": True},
        "access_token": {"appid": APPID},
        "end_sessions": {"appid": APPID, "openids": [_OPENID]},
        "refresh_access_token": {},
        "wechat_push": _event("POST /wechat-push/{appid}", None)
        | {
            "pathParameters": {"appid": APPID},
            "queryStringParameters": dict(pushed.query),
            "body": (pushed.body or b"").decode(),
        },
        "user_events": {"Records": [{"messageId": "bench", "body": json.dumps(_USER_EVENT)}]},
    }
    answers: dict[str, object] = {
        "secured": {"appid": APPID, "secret": _SECRET, "id": SECURED},
        f"GetSecretValue:{environment['KEY_RING_ID']}": {"SecretString": KEY_RING},
        f"GetSecretValue:{environment['APP_SECRETS_ID']}": {
            "SecretString": json.dumps({APPID: {"secret": _SECRET, "push": push_keys(push)}})
        },
        f"GetSecretValue:{environment['API_CLIENTS_ID']}": {
            "SecretString": json.dumps({"bench": hash_of(_SECRET)})
        },
        f"GetItem:{sessions}": {"Item": item},
        "BatchWriteItem:": {"UnprocessedItems": {}},
        "SendMessage:": {"MessageId": "bench", "MD5OfMessageBody": "0" * 32},
        f"Query:{sessions}": {"Items": [item], "Count": 1, "ScannedCount": 1},
        f"GetItem:{access_tokens}": {"Item": _access_token(access_tokens)},
        "/sns/jscode2session": {
            "openid": _OPENID,
            "session_key": SESSION_KEY,
            "unionid": _UNIONID,
        },
        "/wxa/business/getuserphonenumber": {
            "errcode": 0,
            "errmsg": "ok",
            "phone_info": {**_PHONE, "watermark": {"timestamp": 0, "appid": APPID}},
        },
        "/wxa/business/checkencryptedmsg": {"errcode": 0, "errmsg": "ok", "vaild": True},
    }
    return Scene(events, answers)


def variables(function: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the environment of a function: Lambda's variables, its own, and where AWS answers."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        **function,
        "OPEN_DATA_MAX_AGE": "7200",  # it is encrypted once, and a run takes longer than 10 minutes
        **aws_variables(url),  # the template leaves AWS_ENDPOINT_URL empty
    }


def aws_variables(url: str) -> dict[str, str]:
    """Return what tells an SDK of AWS where and as whom to call."""
    return {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_SESSION_TOKEN": "bench",
        "AWS_ENDPOINT_URL": url,
    }


class _Store(Aws):
    """Holds the key ring, and gives a table that takes the one item that is put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, Any] = {}

    def secret_text(self, _: str) -> str:
        return KEY_RING

    def table(self, name: str) -> Table:
        client: Any = SimpleNamespace(put_item=lambda Item, **_: self.taken.update(Item))  # noqa: N803 - AWS's name
        return Table(name, client, self.try_seconds)


def _session(environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    store = _Store()
    backend = Backend(Settings.from_env(environment), aws=store)
    issued = backend.sessions.issue(APPID, Code2Session(_OPENID, SESSION_KEY, _UNIONID))
    return issued.token, _as_json(store.taken)


def _access_token(table: str) -> dict[str, Any]:
    ring = KeyRing.from_json(KEY_RING)
    sealed = ring.seal(_TOKEN.encode(), purpose="access_token", context=f"{table}|{APPID}")
    item: dict[str, dict[str, Any]] = {
        "appid": {"S": APPID},
        "sealed": {"B": sealed},
        "token_expires_at": {"N": str(int(time.time()) + _LIFE)},
        "life": {"N": "7200"},
        "version": {"N": "1"},
    }
    return _as_json(item)


def _as_json(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write binary values as DynamoDB's JSON does."""
    return {
        name: {
            kind: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for kind, value in attribute.items()
        }
        for name, attribute in item.items()
    }


def _event(
    route: str, body: Mapping[str, str] | None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    method, path = route.split()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "accept-language": "zh-CN",
            "content-type": "application/json",
            "host": "api.example.com",
            **(headers or {}),
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "bench",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "MicroMessenger",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": "01/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1793534400000,
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = json.dumps(body)
    return event
