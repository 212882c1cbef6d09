"""What a login cannot do without: one call to WeChat by urllib3, one write by boto3's client.

No request is read, nothing checked, sealed, logged or counted: what is left is what the two
libraries take.
"""

import os
from typing import Any

import boto3
import urllib3

dynamodb = boto3.client("dynamodb")
http = urllib3.PoolManager()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Call, write, answer."""
    query = {"appid": "a", "secret": "b", "js_code": "c", "grant_type": "authorization_code"}
    http.request("GET", os.environ["WECHAT_BASE_URLS"] + "/sns/jscode2session", fields=query)
    dynamodb.put_item(
        TableName=os.environ["SESSIONS_TABLE"],
        Item={
            "user": {"B": bytes(16)},
            "session": {"S": "0" * 75},
            "sealed": {"B": bytes(160)},
            "expires_at": {"N": "1800000000"},
        },
    )
    return {"statusCode": 204}
