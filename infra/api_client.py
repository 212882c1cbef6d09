"""`make api-client ENV=… NAME=… [REMOVE=1]`: makes a client of POST /introspect, or removes it.

A client is one of the team's servers. Its secret is 32 random bytes in hexadecimal, which no HTTP
client encodes in a way of its own, and too many to be guessed, so a plain SHA-256 keeps it.
"""

import hashlib
import json
import re
import secrets as random_source
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.secret import SecretError, Version, read, write
from infra.stack import deployed

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def make_secret() -> str:
    """Make the secret of a client."""
    return random_source.token_hex(32)


def add(
    client: "SecretsManagerClient",
    secret_id: str,
    name: str,
    *,
    make: Callable[[], str] = make_secret,
) -> str:
    """Make a client, and return its secret, of which only a hash is stored.

    Args:
        client: Of Secrets Manager.
        secret_id: The ApiClients.
        name: The client's name.
        make: Makes the secret.

    Raises:
        SecretError: No client was made; the message says why.
    """
    if not _NAME.fullmatch(name):
        raise SecretError(
            "NAME must be 1 to 64 letters, digits, dots, - or _, such as NAME=orders. "
            "No client was made."
        )
    versions = read(client, secret_id)
    clients = _clients(versions)
    if name in clients:
        raise SecretError(
            f"{name} is there already, and its secret is not kept: make a client of another name, "
            f"let the server use that one, then remove {name} with REMOVE=1"
        )
    secret = make()
    clients[name] = hash_of(secret)
    write(client, secret_id, json.dumps(clients), after=versions)
    return secret


def remove(client: "SecretsManagerClient", secret_id: str, name: str) -> list[str]:
    """Remove a client, and return the names of those which are left.

    Raises:
        SecretError: Nothing was removed; the message says why.
    """
    versions = read(client, secret_id)
    clients = _clients(versions)
    if name not in clients:
        raise SecretError(f"there is no client {name!r}, only: {_names(clients)}")
    del clients[name]
    write(client, secret_id, json.dumps(clients), after=versions)
    return sorted(clients)


def hash_of(secret: str) -> str:
    """Return what is stored of a client's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _clients(versions: Sequence[Version]) -> dict[str, str]:
    try:
        clients = json.loads(versions[0].text) if versions else {}
    except ValueError:
        clients = None
    if not isinstance(clients, dict):
        raise SecretError(
            "the ApiClients must be a JSON object. Nothing was changed, since clients may be in "
            "it: put it right in Secrets Manager first"
        )
    return clients


def _names(clients: dict[str, str] | list[str]) -> str:
    return ", ".join(sorted(clients)) or "none"


def main() -> None:
    """Make or remove the client that the command line names, in the environment that it names."""
    environment, name = (*sys.argv[1:3], "", "")[:2]
    try:
        stack = deployed(environment)
        client, secret_id = stack.secrets_manager, stack.outputs["ApiClientsArn"]
        if "--remove" in sys.argv[3:]:
            left = remove(client, secret_id, name)
            print(f"Removed {name}; it is refused everywhere within 5 minutes.")
            print(f"Clients now: {_names(left)}")
        else:
            secret = add(client, secret_id, name)
            print(f"Client {name}, which may ask {stack.outputs['IntrospectionUrl']}")
            print(f"Secret {secret}")
            print("It is shown only now: put it where the server keeps its secrets.")
            print("It works within a minute.")
    except (ReleaseError, SecretError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
