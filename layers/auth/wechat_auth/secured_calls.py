"""API security: what an app's calls go out in, and their answers come back in.

Only for apps that have it; others never load this room. The formats are those of
``wechat_crypto.api_security``; here are the rules of a client. Source: as there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from wechat_auth import invocation
from wechat_auth.connections import Answer
from wechat_auth.errors import API_SECURITY_REFUSED, MISCONFIGURED, AuthError, misconfigured
from wechat_crypto import api_security

_SIGNATURE_REFUSED = 40234
_ENCRYPTION_REFUSED = 40235

_ENCRYPTION_OFF = (
    "WeChat answered a secured call in plain text, which nothing vouches for: switch on API "
    "encryption in the console, see docs/api-security.md"
)
_NOT_WECHATS = (
    "what answered a secured call is not proven to be WeChat: compare certificate and "
    "symmetricKey with the console, and this machine's clock with the time; else something on the "
    "way changes answers"
)
_CERTIFICATE_UNKNOWN = (
    "WeChat signs with a certificate whose number is not stored: download the platform certificate "
    "from the console and store it with its number, see docs/api-security.md"
)
_CERTIFICATE_OUTDATED = (
    "WeChat is about to replace the platform certificate: download the new one from the console "
    "and store it with its number, see docs/api-security.md"
)

Send = Callable[[Mapping[str, str], bytes], tuple[Answer, dict[str, Any]]]
"""Takes headers and body; returns the answer, and its body as JSON."""


class Envelope:
    """Seals the calls of one app and opens their answers.

    On the day on which a key is changed, WeChat may know either: if it refuses one, the other is
    tried once, and goes first from then on. WeChat has not looked into a call that it refuses so,
    and no code in it is spent.

    Args:
        appid: The app.
        document: Its ``apiSecurity`` in the AppSecrets.
        doubt: Called when the keys are of no use here, so that they are read again.
        clock: Gives the time in seconds.

    Attributes:
        document: As given.

    Raises:
        AuthError: ``misconfigured``; the remedy names the field.
    """

    def __init__(
        self,
        appid: str,
        document: Mapping[str, Any],
        *,
        doubt: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.document = document
        self._appid = appid
        self._doubt = doubt
        self._clock = clock
        self._warned = False
        try:
            self._keys = api_security.ApiKeys.from_document(document)
        except api_security.ApiKeyError as error:
            raise self._misconfigured(f"apiSecurity of {appid}: {error}") from None

    def exchange(
        self, call: str, url: str, parameters: Mapping[str, object], send: Send
    ) -> dict[str, Any]:
        """Make a call and return what WeChat answered, which may be an error.

        Args:
            call: WeChat's name of the call.
            url: Where it goes, without query.
            parameters: Those of its query and its body.
            send: Sends it.

        Raises:
            AuthError: What ``send`` raises; ``misconfigured`` if the answer is not to be believed,
                or no certificate could prove one.
        """
        keys, tried = self._keys, list[object]()
        while True:
            reply = self._once(call, url, parameters, send, keys)
            errcode = reply.get("errcode")
            if errcode in tried:
                break
            tried.append(errcode)
            if errcode == _SIGNATURE_REFUSED and len(keys.private) > 1:
                keys = replace(keys, private=keys.private[::-1])
            elif errcode == _ENCRYPTION_REFUSED and len(keys.symmetric) > 1:
                keys = replace(keys, symmetric=keys.symmetric[::-1])
            else:
                break
        if not (isinstance(errcode, int) and errcode in API_SECURITY_REFUSED):
            self._keys = keys
        return reply

    def _once(
        self,
        call: str,
        url: str,
        parameters: Mapping[str, object],
        send: Send,
        keys: api_security.ApiKeys,
    ) -> dict[str, Any]:
        try:
            certificates = keys.valid_certificates(self._clock())
        except api_security.ApiKeyError as error:
            raise self._misconfigured(f"apiSecurity of {self._appid}: {error}", call) from None
        symmetric = keys.symmetric[0]
        sealed = api_security.seal_call(
            url,
            self._appid,
            parameters,
            symmetric=symmetric,
            private=keys.private[0],
            now=self._clock(),
        )
        answer, reply = send(sealed.headers, sealed.body)
        if not api_security.is_sealed(reply):
            # WeChat refuses in plain text what it could not open; a success is never plain.
            if reply.get("errcode", 0) == 0:
                raise self._misconfigured(_ENCRYPTION_OFF, call)
            return reply
        if not api_security.names_certificate(answer.headers, certificates):
            raise self._misconfigured(_CERTIFICATE_UNKNOWN, call)
        try:
            opened = api_security.open_answer(
                url,
                self._appid,
                answer.headers,
                answer.content,
                symmetric=symmetric,
                certificates=certificates,
                now=self._clock(),
            )
        except api_security.ApiAnswerError:
            raise self._misconfigured(_NOT_WECHATS, call) from None
        if opened.outdated and not self._warned:
            self._warned = True
            self._doubt()
            invocation.log_fault(AuthError(MISCONFIGURED, remedy=_CERTIFICATE_OUTDATED, call=call))
        return opened.content

    def _misconfigured(self, remedy: str, call: str | None = None) -> AuthError:
        self._doubt()
        fault = misconfigured(remedy)
        fault.call = call
        return fault
