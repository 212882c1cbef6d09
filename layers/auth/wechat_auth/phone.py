"""Phone exchange: the code of the getPhoneNumber button becomes the user's number, once.

A phone code works once and each tap is billed, so the answer is kept, sealed, for the code's 5
minutes under a keyed hash of (app, user or none, code). A reply lost on the way, a double tap or
two requests at the same time get the same number from one exchange. Powertools' Idempotency keeps
the record; a worker that died in the middle blocks its code only as long as it could have lived.
"""

import base64
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyItemAlreadyExistsError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from wechat_auth import invocation, services
from wechat_auth.aws import TRY, dynamodb, explain
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError, WeChatError
from wechat_auth.login import looks_like_login_code
from wechat_auth.sessions import Session
from wechat_auth.wechat import PhoneNumber
from wechat_auth.with_access_token import with_access_token
from wechat_crypto import UnsealError

# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()

KEPT = 300
"""Seconds an answer is kept: as long as the code itself would have lived."""
_PURPOSE = "phone_exchange"


def exchange_phone_code(
    appid: str,
    code: str,
    session: Session | None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> PhoneNumber:
    """Exchange a phone code, or find the answer it was exchanged for within the last 5 minutes.

    Args:
        appid: The app in which the user tapped.
        code: ``e.detail.code`` of the getPhoneNumber button.
        session: Who is logged in, if anyone; WeChat then refuses another user's code.
        sleep: Waits for seconds.

    Raises:
        AuthError: ``phone_code_rejected``, ``wechat_unavailable``, ``storage_unavailable``,
            ``user_restricted``, ``too_many_requests`` or an operator's fault.
    """
    openid = session.openid if session else ""
    ring = services.secret_store().key_ring()
    key = ring.fingerprint(appid, openid, code, purpose=_PURPOSE).hex()
    attempt = _Attempt(appid, code, openid or None)
    while True:
        try:
            record = _once(attempt.exchange)(key=key)
        except IdempotencyAlreadyInProgressError:
            # The same code is being exchanged by another request: its answer is ours too.
            left = invocation.remaining(KEPT) - TRY
            if left <= 0:
                raise AuthError(
                    WECHAT_UNAVAILABLE, "This code is being exchanged by another request."
                ) from None
            sleep(min(left, _random.uniform(0.05, 0.25)))
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            if attempt.number:
                return attempt.number  # exchanged and paid for, even if it could not be kept
            raise attempt.failure or explain(_cause(error)) from None
        else:
            return attempt.number or _open(record, key)


@dataclass(slots=True)
class _Attempt:
    """One try to exchange a code, and what became of it, whether or not it could be kept."""

    appid: str
    code: str
    openid: str | None
    number: PhoneNumber | None = None
    failure: AuthError | None = None

    def exchange(self, *, key: str) -> dict[str, str]:
        """Ask WeChat and seal the answer for the record."""
        try:
            self.number = _ask_wechat(self.appid, self.code, self.openid)
        except AuthError as error:
            self.failure = error
            raise
        content = json.dumps(asdict(self.number)).encode()
        ring = services.secret_store().key_ring()
        return {
            "sealed": base64.b64encode(ring.seal(content, purpose=_PURPOSE, context=key)).decode()
        }


def _open(record: dict[str, str], key: str) -> PhoneNumber:
    """Unseal the answer that an earlier request for the same code left."""
    try:
        content = services.secret_store().unseal(
            base64.b64decode(record["sealed"]), purpose=_PURPOSE, context=key
        )
    except (UnsealError, ValueError):  # not even base64
        raise AuthError(WECHAT_UNAVAILABLE) from None
    invocation.count("PhoneExchangesReplayed")
    return PhoneNumber(**json.loads(content))


def _ask_wechat(appid: str, code: str, openid: str | None) -> PhoneNumber:
    try:
        number = with_access_token(
            appid, lambda token: services.wechat().phone_number(token, code, openid)
        )
    except WeChatError as error:
        if error.errcode == 40029 and looks_like_login_code(code):  # noqa: PLR2004
            raise AuthError(
                error.problem,
                "This has the form of a wx.login code: send e.detail.code of the getPhoneNumber "
                "button, which is another code.",
                errcode=error.errcode,
                rid=error.rid,
            ) from None
        raise
    invocation.count("PhoneExchanges")
    return number


def _once(exchange: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    """Let Powertools keep the answer; a config a call, since it carries that call's time left."""
    config = IdempotencyConfig(
        expires_after_seconds=KEPT,
        hash_function="sha256",
        lambda_context=invocation.context(),  # type: ignore[arg-type]
    )
    wrapped: Callable[..., dict[str, str]] = idempotent_function(
        exchange,
        data_keyword_argument="key",
        persistence_store=_store(),
        config=config,
        key_prefix="phone",
    )
    return wrapped


class _Records(DynamoDBPersistenceLayer):
    """Powertools' records, which know themselves again where the SDK sent one of them twice.

    The SDK repeats a write whose reply got lost. The second one then finds the first, and would
    wait for an answer that nobody is working on.
    """

    def _put_record(self, data_record: DataRecord) -> None:
        # A fraction of a millisecond, so that no two attempts ever have the same.
        ends = data_record.in_progress_expiry_timestamp or 0
        mine = ends + Decimal(_random.getrandbits(64)).scaleb(-20)
        data_record.in_progress_expiry_timestamp = mine  # type: ignore[assignment]
        try:
            super()._put_record(data_record)
        except IdempotencyItemAlreadyExistsError as error:
            found = error.old_data_record
            if found is None or found.in_progress_expiry_timestamp != mine:
                raise


@cache
def _store() -> DynamoDBPersistenceLayer:
    return _Records(
        table_name=services.settings().phone_exchanges_table,
        expiry_attr="expires_at",
        boto3_client=dynamodb(),
    )


def _cause(error: Any) -> Exception:
    cause = error.__cause__
    return cause if isinstance(cause, Exception) else error
