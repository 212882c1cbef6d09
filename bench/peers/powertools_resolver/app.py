"""The same login on Powertools' resolver with its validation by pydantic, urllib3 and boto3."""

import base64
import functools
import hashlib
import json
import os
import secrets
import time
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from aws_lambda_powertools.metrics import MetricUnit
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, Field

logger = Logger(service="bench")
metrics = Metrics(namespace="bench", service="bench")
dynamodb = boto3.client("dynamodb")
secrets_manager = boto3.client("secretsmanager")
http = urllib3.PoolManager()
app = APIGatewayHttpResolver(enable_validation=True)


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
def cipher() -> AESGCM:
    """Return the cipher that seals."""
    return AESGCM(hashlib.sha256(secret("KEY_RING_ID")["k1"].encode()).digest())


@app.post("/login")
def login(body: Login) -> Session:
    """Exchange the code, seal what WeChat says, and store it."""
    appid = os.environ["WECHAT_APPIDS"]
    reply = http.request(
        "GET",
        os.environ["WECHAT_BASE_URLS"] + "/sns/jscode2session",
        fields={
            "appid": appid,
            "secret": secret("APP_SECRETS_ID")[appid],
            "js_code": body.code,
            "grant_type": "authorization_code",
        },
        timeout=5,
        retries=False,
    )
    who = reply.json()
    if who.get("errcode"):
        raise BadRequestError("login_code_rejected")
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
    metrics.add_metric("Logins", MetricUnit.Count, 1)
    return Session(token=base64.urlsafe_b64encode(user + token).decode(), expires_at=expires_at)


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Route, answer and log."""
    answer = app.resolve(event, context)
    logger.info("request", extra={"status": answer["statusCode"]})
    return answer
