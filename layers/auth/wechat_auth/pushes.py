"""WeChat's pushes: what WeChat itself tells a mini-program's server, checked and handed on.

A push is answered after one write at most. What takes longer is left to whoever reads the queue.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wechat_auth import invocation
from wechat_auth.errors import misconfigured
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Queue
from wechat_auth.user_events import UserEvent
from wechat_crypto import push_message

Answered = TypeVar("Answered")

MAX_PUSH = 64 * 1024
"""Bytes that a push's body may hold."""
SUCCESS = "success"
"""What WeChat must be answered, to the letter; anything else, and it sends the push again."""
_TOKEN = re.compile(r"[0-9A-Za-z]{3,32}")
_STORE = "store them with make app-secret (docs/push.md)"
_SAFE_MODE = "the push is not encrypted: choose safe mode (安全模式) in the console (docs/push.md)"


class PushKeysError(ValueError):
    """Token or EncodingAESKey are not as the console has them; the text quotes neither."""


@dataclass(frozen=True, slots=True)
class PushKeys:
    """What the console and this deployment share for an app's pushes.

    Attributes:
        token: The Token.
        encoding_aes_keys: The EncodingAESKey and, if it was changed, the one before it.
    """

    token: str = field(repr=False)
    encoding_aes_keys: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PushKeys":
        """Read ``{"token":…,"encodingAesKey":…,"previousEncodingAesKey"?:…}``.

        Raises:
            PushKeysError: It is something else; the text says what.
        """
        if not isinstance(document, Mapping):
            raise PushKeysError('push must be an object of "token" and "encodingAesKey"')
        token = document.get("token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise PushKeysError('"token" must be the Token of the console: 3 to 32 letters, digits')
        keys = [document.get("encodingAesKey"), document.get("previousEncodingAesKey") or None]
        try:
            used = tuple(str(key) for key in keys[: 1 if keys[1] is None else 2])
            for key in used:
                push_message.decode_aes_key(key)
        except push_message.EncodingAesKeyError as error:
            raise PushKeysError(str(error)) from None
        return cls(token, used)


def verify_address(appid: str, query: Mapping[str, str], *, secrets: SecretStore) -> str | None:
    """Return the ``echostr`` by which the console sees that this is its app's server.

    Args:
        appid: The mini-program, which is served here.
        query: The request's.
        secrets: For the app's keys.

    Returns:
        What to answer, or ``None`` if it was not WeChat that asked.

    Raises:
        AuthError: ``misconfigured`` or ``storage_unavailable``.
    """
    return _checked(
        appid,
        secrets,
        lambda keys: push_message.answer_to_verification(query, token=keys.token),
    )


def receive(
    appid: str,
    body: bytes,
    query: Mapping[str, str],
    *,
    secrets: SecretStore,
    user_events: Queue,
    now: float,
) -> str | None:
    """Open a push of a mini-program's own, and hand on what it says.

    Args:
        appid: The mini-program, which is served here.
        body: The request's.
        query: The request's.
        secrets: For the app's keys.
        user_events: Takes what is about a user.
        now: The time.

    Returns:
        What to answer, or ``None`` if it is not WeChat's to this app.

    Raises:
        AuthError: ``misconfigured`` or ``storage_unavailable``: WeChat is to send it again.
    """
    message = opened(appid, body, query, secrets=secrets)
    return None if message is None else hand_on(appid, message, user_events=user_events, now=now)


def opened(
    appid: str, body: bytes, query: Mapping[str, str], *, secrets: SecretStore
) -> Mapping[str, Any] | None:
    """Open a push with the keys of the appid that it must be for; ``None`` if it is not WeChat's.

    Raises:
        AuthError: ``misconfigured`` or ``storage_unavailable``.
    """
    return _checked(
        appid,
        secrets,
        lambda keys: push_message.open_push(
            body,
            query=query,
            token=keys.token,
            encoding_aes_keys=keys.encoding_aes_keys,
            appid=appid,
        ),
    )


def hand_on(appid: str, message: Mapping[str, Any], *, user_events: Queue, now: float) -> str:
    """Put what a message says about a user on the queue; any other message is only counted.

    Returns:
        What to answer.

    Raises:
        AuthError: ``storage_unavailable`` or ``misconfigured``.
    """
    event = UserEvent.of_message(appid, message, now)
    if event is None:
        invocation.count("PushesIgnored")
    else:
        user_events.send(event.document())
        invocation.count("UserEvents")
    return SUCCESS


def _checked(
    appid: str, secrets: SecretStore, check: Callable[[PushKeys], Answered]
) -> Answered | None:
    """Check with the app's keys and, if that fails, with those that are stored by now."""
    for _ in range(2):
        document = secrets.push(appid)
        try:
            if document is not None:
                return check(PushKeys.from_document(document))
        except PushKeysError as error:
            secrets.app_secret_refused()
            raise misconfigured(f"{error}; {_STORE}") from None
        except push_message.PlainPushError:
            _log_refusal(appid, _SAFE_MODE)
            return None
        except push_message.PushMessageError:
            pass
        secrets.app_secret_refused()
    if document is None:
        _log_refusal(appid, f"no Token and EncodingAESKey are stored for this app: {_STORE}")
    return None


def _log_refusal(appid: str, remedy: str) -> None:
    """Say what to do, but as a warning: what anybody can cause is no operator's fault."""
    invocation.logger.warning("push refused", extra={"appid": appid, "remedy": remedy})
