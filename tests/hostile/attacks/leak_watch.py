"""The search of all that a test of this folder lets the backend write."""

import base64

from local.simulated_wechat import Phone, PhoneTap
from tests.harness.api import Answer
from tests.harness.deployment import Deployment
from tests.harness.leaks import ALLOWED, Secrets, Written


class Watch:
    """Knows the secrets of a test, and searches all that was written for them."""

    def __init__(self, written: Written, deployment: Deployment) -> None:
        self.secrets = Secrets()
        self.searched = 0
        self._written = written
        for app in deployment.wechat.apps:
            self.secrets.note("AppSecret", app.secret)

    def person(self, phone: Phone) -> Phone:
        self.secrets.note("openid", phone.openid)
        self.secrets.note("unionid", phone.unionid)
        self.secrets.note("phone number", phone.number)
        if phone.session_key:
            self.secrets.note("session_key", phone.session_key)
        return phone

    def tap(self, tap: PhoneTap) -> PhoneTap:
        self.secrets.note("phone code", tap.code)
        self.secrets.note("encryptedData", tap.encrypted_data)
        self.secrets.note("iv", tap.iv)
        return tap

    def token(self, token: str) -> str:
        self.secrets.note("session token", token)
        self.secrets.note("secret of a session token", _secret(token).hex())
        return token

    def search(self) -> None:
        """Search what was written since the last search, and forget it."""
        written = self._written
        texts = (written.output, "\n".join(written.records), "\n".join(written.exceptions))
        written.forget()
        for text in texts:
            assert self.secrets.found_in(text) == []
            self.searched += len(text)

    def search_answers(self, answers: list[Answer]) -> None:
        """Search the answers for what they may not tell."""
        for answer in answers:
            text = answer.content.decode() + repr(dict(answer.headers))
            allowed = ALLOWED.get((answer.method, answer.path, answer.status), frozenset())
            assert self.secrets.found_in(text, allowed=allowed) == []


def _secret(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "==")[20:]
