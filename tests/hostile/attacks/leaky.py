"""Decrypt functions with one deliberate leak each: what the attack must succeed against."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

Answer = dict[str, Any]
Proceed = Callable[[], Answer]
Quietly = Callable[[], AbstractContextManager[object]]
"""While it lasts, WeChat is not asked."""
Leak = Callable[[bool, Proceed, Quietly], Answer]
"""Gets whether the padding is right, and what makes the answer; answers a little otherwise."""


def _status(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    answer = proceed()
    return answer | ({"statusCode": 400} if not right and answer["statusCode"] == 422 else {})


def _body(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    """A single letter of the body, in as many characters."""
    answer = proceed()
    return answer if right else answer | {"body": answer["body"].replace("fresh", "Fresh")}


def _headers(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    answer = proceed()
    return answer if right else answer | {"headers": answer["headers"] | {"Retry-After": "0"}}


def _length(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    answer = proceed()
    return answer if right else answer | {"body": answer["body"] + " "}


def _outgoing_calls(right: bool, proceed: Proceed, quietly: Quietly) -> Answer:
    """WeChat is not asked about what cannot be its own."""
    if right:
        return proceed()
    with quietly():
        return proceed()


def _time(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    """A millisecond of waiting."""
    if right:
        time.sleep(0.001)
    return proceed()


def _processor_time(right: bool, proceed: Proceed, _: Quietly) -> Answer:
    """A millisecond of work, such as a second look at the data."""
    until = time.thread_time() + 0.001
    while right and time.thread_time() < until:
        pass
    return proceed()


LEAKS: Mapping[str, Leak] = {
    "status": _status,
    "body": _body,
    "headers": _headers,
    "length": _length,
    "outgoing calls": _outgoing_calls,
    "time": _time,
    "processor time": _processor_time,
}


def leaking(
    handler: Callable[[Any, Any], Answer],
    leak: Leak,
    session_key: Callable[[], str],
    quietly: Quietly = nullcontext,
) -> Callable[[Any, Any], Answer]:
    """Return the handler with a leak."""

    def leaky(event: Any, context: Any) -> Answer:
        body = json.loads(event["body"])
        right = _padding_right(session_key(), body["encryptedData"], body["iv"])
        return leak(right, lambda: handler(event, context), quietly)

    return leaky


def _padding_right(session_key: str, encrypted_data: str, iv: str) -> bool:
    key, vector = base64.b64decode(session_key), base64.b64decode(iv)
    padded = AES.new(key, AES.MODE_CBC, iv=vector).decrypt(base64.b64decode(encrypted_data))
    try:
        unpad(padded, AES.block_size)
    except ValueError:
        return False
    return True
