"""A thin client of the API: what it sends is what the tests say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from local import API_CLIENT
from local.simulated_wechat import Phone, PhoneTap

Document = dict[str, Any]

IDEMPOTENCY_KEY = "6d1f0c5e-made-up-by-the-client"
"""What a client without a session sends to find its phone number again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: ``json`` is empty where there was no content."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Document:
        document: Document = json.loads(self.content) if self.content else {}
        return document

    @property
    def problem(self) -> tuple[int, str, str]:
        """Status, code and action of a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json; charset=utf-8", self
        assert self.json["status"] == self.status
        return self.status, self.json["code"], self.json["action"]


class Api:
    """Sends requests to the API and keeps every answer for those who want to look at them all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[Answer] = []
        self._http = urllib3.PoolManager(retries=False, timeout=30, maxsize=16)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send ``body`` as JSON, or as it is if it is bytes."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        reply = self._http.request(method, self.url + path, body=content, headers=sent)
        answer = Answer(method, path.partition("?")[0], reply.status, reply.headers, reply.data)
        self.answers.append(answer)
        return answer

    def login(self, code: str, **more: object) -> Answer:
        return self.request("POST", "/login", {"code": code, **more})

    def phone(
        self, code: str, *, token: str | None = None, key: str | None = None, **more: object
    ) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return self.request("POST", "/phone", {"code": code, **more}, token=token, headers=headers)

    def decrypt(self, *, token: str | None = None, **body: object) -> Answer:
        return self.request("POST", "/decrypt", body, token=token)

    def session(self, token: str, query: str = "") -> Answer:
        return self.request("GET", f"/session{query}", token=token)

    def logout(self, token: str, query: str = "") -> Answer:
        return self.request("DELETE", f"/session{query}", token=token)

    def introspect(
        self, token: str | None, client: tuple[str, str] | None = API_CLIENT, **more: str
    ) -> Answer:
        """Ask who a token stands for, as a server of the team's does."""
        form = more if token is None else {"token": token, **more}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if client is not None:
            headers["Authorization"] = basic(*client)
        return self.request("POST", "/introspect", urlencode(form).encode(), headers=headers)

    def logged_in(self, phone: Phone) -> str:
        """Log a person in and return the session's token."""
        answer = self.login(phone.login())
        assert answer.status == 200, answer
        token: str = answer.json["token"]
        return token


def basic(name: str, secret: str) -> str:
    """Return the Authorization header of HTTP Basic."""
    return urllib3.make_headers(basic_auth=f"{name}:{secret}")["authorization"]


def legacy(tap: PhoneTap) -> dict[str, str]:
    """Return what a base library before 2.21.2 gives of a tap, as POST /decrypt takes it."""
    return {"encryptedData": tap.encrypted_data, "iv": tap.iv}
