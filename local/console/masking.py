"""What may be shown of a message: secrets are shortened here, before any browser sees them.

Nothing passes because it looks harmless. A text passes under a name that is known to hold no
secret, and even there whatever is long enough to be one is shortened unless it is a known word.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHOWN: Final = _words(
    """
    accountCode action all by ConditionExpression countryCode detail errmsg event grant_type
    KeyConditionExpression
    ProjectionExpression QueueUrl ReturnValuesOnConditionCheckFailure SecretId sig_method status
    TableName title type UpdateExpression verify
    """
)
"""Names of texts that hold no secret."""
_NUMBERS: Final = frozenset({"phoneNumber", "purePhoneNumber"})
_TIMES: Final = _words(
    """
    create_time exp expires expires_at expiresAt forced_at from iat in_progress_until lease_until
    now renew_from timestamp token_expires_at ttl until verifiedAt
    """
)
"""Names of numbers that are moments, so that they may be long."""
_WORDS: Final = _words(
    """
    AccessDeniedException account_unavailable app_not_authorized
    API_Expired_Wechatmp_Timestamp API_Invalid_Appid API_Invalid_Encrypt
    API_Invalid_Signature API_Invalid_Wechatmp_Appid API_Missing_Wechatmp_Appid
    API_Missing_Wechatmp_Serial API_Missing_Wechatmp_Signature API_Missing_Wechatmp_Timestamp
    attribute_exists attribute_not_exists authorization_code
    checkEncryptedData client_credential ConditionalCheckFailedException ConditionExpression
    ConsumedCapacity encrypted_msg_hash ExpressionAttributeNames ExpressionAttributeValues
    getStableAccessToken in_progress_until InternalServerError
    InternalServiceError KeyConditionExpression login_code_rejected phone_code_rejected
    login_unfinished ProjectionExpression ProvisionedThroughputExceededException request_too_large
    RequestLimitExceeded resetUserSessionKey ResourceNotFoundException ReturnConsumedCapacity
    ReturnValuesOnConditionCheckFailure ScanIndexForward storage_unavailable ThrottlingException
    token_expires_at too_many_failures too_many_requests UnrecognizedClientException
    UpdateExpression ValidationException wechat_unavailable
    """
)
"""Words as long as a secret."""
_LONG = re.compile(r"[A-Za-z0-9_+/=%\\~.-]{16,}")
_DIGITS = re.compile(r"\d{7,}")
_SHORT = 12  # below, even the beginning would tell too much
_MANY_DIGITS = 10**7
_TYPES: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"})


def masked(secret: str) -> str:
    """Shorten a secret so that two can be told apart: `0a1b…(32)`, with its length."""
    return f"{secret[:4] if len(secret) >= _SHORT else ''}…({len(secret)})"


def masked_number(number: str) -> str:
    """Shorten a phone number: `138****8000`."""
    return f"{number[:-8]}****{number[-4:]}" if len(number) > 7 else "****"  # noqa: PLR2004


def shown(value: Any, name: str = "") -> Any:
    """Return what may be shown of a JSON value, by the name that it has."""
    match value:
        case None | bool():
            return value
        case int() | float():
            harmless = name in _TIMES or abs(value) < _MANY_DIGITS
            return value if harmless else masked(str(value))
        case str():
            return _shown_text(value, name)
        case Mapping():
            # A problem document's code is the name of an error; every other code is a secret.
            problem = {"action", "status"} <= value.keys()
            return {
                plain(str(key)): plain(each)
                if problem and key == "code" and isinstance(each, str)
                else shown(each, str(key))
                for key, each in value.items()
            }
        case list() | tuple():
            return [shown(each, name) for each in value]
    return masked(str(value))


def plain(text: str) -> str:
    """Return a text that should hold no secret, without whatever could be one after all."""
    text = _LONG.sub(lambda run: run[0] if _is_words(run[0]) else masked(run[0]), text)
    return _DIGITS.sub(lambda run: f"…({len(run[0])})", text)


def shown_json(content: bytes | str) -> Any:
    """Return what may be shown of a body that should be JSON."""
    try:
        return shown(json.loads(content)) if content else None
    except ValueError:
        return masked(content if isinstance(content, str) else content.decode("latin-1"))


def shown_items(value: Any, name: str = "") -> Any:
    """Return what may be shown of DynamoDB's JSON, its typed values as plain ones."""
    match value:
        case Mapping() if len(value) == 1 and _TYPES.issuperset(value):
            [(kind, content)] = value.items()
            if kind == "N":
                return shown(float(content) if "." in content else int(content), name)
            if kind == "B":
                return f"…({len(base64.b64decode(content))} bytes)"
            return shown_items(content, name)
        case Mapping():
            # Expressions name their values with a colon in front.
            return {
                plain(str(key)): shown_items(each, str(key).lstrip(":"))
                if name != "ExpressionAttributeNames"
                else plain(str(each))
                for key, each in value.items()
            }
        case list():
            return [shown_items(each, name) for each in value]
    return shown(value, name)


def _shown_text(text: str, name: str) -> str:
    if name in _NUMBERS:
        return masked_number(text)
    if name == "Authorization" and text.startswith("Bearer "):
        return f"Bearer {masked(text.removeprefix('Bearer '))}"
    return plain(text) if name in _SHOWN else masked(text)


def _is_words(run: str) -> bool:
    return run.strip(".") in _WORDS
