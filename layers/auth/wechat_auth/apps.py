"""Which mini-programs a deployment serves: its own, and those that authorise its platform."""

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Apps:
    """The mini-programs that are served.

    Attributes:
        own: Those whose AppSecret is stored here.
        merchants: Those that authorise the third-party platform; ``None`` without one.
    """

    own: tuple[str, ...]
    merchants: Container[str] | None = None

    def __contains__(self, appid: object) -> bool:
        """Tell whether a mini-program is served."""
        return appid in self.own or (self.merchants is not None and appid in self.merchants)
