"""One HTTP request as the rules see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from .errors import WeChatError


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller sent.

    Attributes:
        method: Upper-case HTTP method.
        path: Path without the query.
        query: Decoded query; of a repeated name the first counts.
        body: Raw body.
        ip: Address of the caller.
        headers: The headers, by their names in lower case.
        base_url: Scheme and host as the caller sees them.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    ip: str = "127.0.0.1"
    headers: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""

    @classmethod
    def parse(
        cls,
        method: str,
        target: str,
        body: bytes,
        ip: str,
        headers: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> "Request":
        """Take the request line's target apart."""
        path, _, query = target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        base_url = f"{scheme}://{lower.get('host', '')}"
        return cls(method, path, dict(reversed(pairs)), body, ip, lower, base_url)

    @property
    def url(self) -> str:
        """Where the call goes, without its query."""
        return self.base_url + self.path

    def json(self) -> dict[str, object]:
        """Return the body as a JSON object, whatever the Content-Type says.

        Raises:
            WeChatError: 44002 if there is no body, 47001 if it is not a JSON object.
        """
        if not self.body:
            raise WeChatError(44002)
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            raise WeChatError(47001) from None
        if not isinstance(document, dict):
            raise WeChatError(47001)
        return document

    def parameter(self, name: str, missing: int) -> str:
        """Return a query parameter, or raise WeChatError(`missing`) if it is absent or empty."""
        value = self.query.get(name)
        if not value:
            raise WeChatError(missing)
        return value
