"""Tables and connections in which something is wrong, so that the checks have something to find."""

from typing import Any

from local import runtime
from tests.hostile.faults.faults import Outside
from wechat_auth.connections import TransportError
from wechat_auth.storage import Aws, Item, StorageError, Table


class Tables(Aws):
    """Clients whose tables are of another kind.

    Args:
        aws: Has the clients.
        kind: The kind of table.
        try_seconds: What its tables say that a try can take.
    """

    def __init__(self, aws: Aws, kind: type[Table] = Table, try_seconds: float = 3.5) -> None:
        super().__init__()
        self.dynamodb = aws.dynamodb
        self.secrets_manager = aws.secrets_manager
        self._kind = kind
        self._tables_try_seconds = try_seconds

    def table(self, name: str) -> Table:
        return self._kind(name, self.dynamodb, self._tables_try_seconds)


class Overlooking(Table):
    """Lets POST /phone overlook that a code is being exchanged."""

    def put_if(self, condition: str, item: Item, values: Item) -> None:  # noqa: ARG002
        self.put(item)


class InTwoSteps(Table):
    """Stores a session first, and what is sealed in it afterwards."""

    def put(self, item: Item) -> None:
        super().put({name: value for name, value in item.items() if name != "sealed"})
        super().put(item)


class Unexpected(Table):
    """Raises what nobody expects when storage fails."""

    def get(self, key: Item, *, consistent: bool = True) -> Item | None:
        try:
            return super().get(key, consistent=consistent)
        except StorageError:
            raise KeyError from None


class Unguarded(Table):
    """Writes without the condition that the lease is still held."""

    def update_if(self, condition: str, key: Item, update: str, values: Item) -> bool:
        if condition == "lease_owner = :owner":
            values = {name: value for name, value in values.items() if name != "owner"}
            condition = "attribute_exists(appid) OR attribute_not_exists(appid)"
        return super().update_if(condition, key, update, values)


class SendingAgain(Outside):
    """Sends a call to WeChat again if its connection broke, codes included."""

    def to_wechat(self, name: str, body: Any, send: Any) -> Any:
        try:
            return super().to_wechat(name, body, send)
        except TransportError as error:
            if not error.sent:
                raise
            return send()


def lets_everybody_in(environment: runtime.Environment) -> None:
    """Let POST /phone overlook in an environment that a code is being exchanged."""
    environment.aws = Tables(environment.aws, Overlooking)
