"""The search of all that a test of this folder lets the backend write."""

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
        self.secrets.note_wechat(deployment.wechat)

    def person(self, phone: Phone) -> Phone:
        return self.secrets.note_person(phone)

    def tap(self, tap: PhoneTap) -> PhoneTap:
        self.secrets.note_data(tap)
        return tap

    def token(self, token: str) -> str:
        return self.secrets.note_session(token)

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
