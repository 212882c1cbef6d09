"""The same login, as a web framework and a WeChat SDK suggest: FastAPI, Mangum, wechatpy, boto3.

Written to its own advantage: clients once per environment, AppSecret and key read once, no OpenAPI
document, `async def` so that no thread pool stands between, no access_token fetched, no log.
"""

import base64
import functools
import hashlib
import json
import os
import secrets
import time

import boto3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from mangum import Mangum
from pydantic import BaseModel, Field
from wechatpy import WeChatClient, WeChatClientException

dynamodb = boto3.client("dynamodb")
secrets_manager = boto3.client("secretsmanager")
app = FastAPI(openapi_url=None)


class Login(BaseModel):
    """What the client sends."""

    code: str = Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_-]+$")


class Session(BaseModel):
    """What the client gets."""

    token: str
    expires_at: int = Field(serialization_alias="expiresAt")


@functools.cache
def secret(name: str) -> dict[str, str]:
    """Read a secret, once."""
    answer = secrets_manager.get_secret_value(SecretId=os.environ[name])
    return dict(json.loads(answer["SecretString"]))


@functools.cache
def wechat() -> WeChatClient:
    """Return the client of WeChat."""
    appid = os.environ["WECHAT_APPIDS"]
    # wechatpy would fetch an access_token for this call too, which needs none: it is spared that.
    client = WeChatClient(appid, secret("APP_SECRETS_ID")[appid], access_token="unused")
    client.API_BASE_URL = client.wxa.API_BASE_URL = os.environ["WECHAT_BASE_URLS"] + "/"
    return client


@functools.cache
def cipher() -> AESGCM:
    """Return the cipher that seals."""
    return AESGCM(hashlib.sha256(secret("KEY_RING_ID")["k1"].encode()).digest())


@app.post("/login", response_model=Session)
async def login(body: Login) -> Session | JSONResponse:
    """Exchange the code, seal what WeChat says, and store it."""
    try:
        who = wechat().wxa.code_to_session(body.code)
    except WeChatClientException:
        return JSONResponse({"code": "login_code_rejected"}, status_code=422)
    token, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    user = hashlib.sha256(who["openid"].encode()).digest()[:16]
    expires_at = int(time.time()) + 7 * 86_400
    sealed = nonce + cipher().encrypt(nonce, json.dumps(who).encode(), user)
    dynamodb.put_item(
        TableName=os.environ["SESSIONS_TABLE"],
        Item={
            "user": {"B": user},
            "session": {"S": hashlib.sha256(token).hexdigest()},
            "sealed": {"B": sealed},
            "expires_at": {"N": str(expires_at)},
        },
    )
    return Session(token=base64.urlsafe_b64encode(user + token).decode(), expires_at=expires_at)


handler = Mangum(app, lifespan="off")
