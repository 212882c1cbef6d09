"""A secret that is read, changed and written back, without overwriting another's change.

Sources: AWS Secrets Manager API, GetSecretValue and PutSecretValue. The labels AWSCURRENT and
AWSPREVIOUS stand on its last two versions. A ClientRequestToken that is in use already is refused
for another content, and with the same content nothing happens; so a token made of the versions that
were read lets only one change follow them, and a request that is repeated do no harm.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


class SecretError(Exception):
    """The secret cannot be changed so; the message says why, and never holds what is secret."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret.

    Attributes:
        id: Its id.
        text: What it holds.
        created: When it was written.
        now: When it was read, by AWS's clock.
    """

    id: str
    text: str = field(repr=False)
    created: datetime
    now: datetime


def read(client: "SecretsManagerClient", secret_id: str) -> list[Version]:
    """Read the last two versions, as far as there are any: the current one, then that before it.

    Raises:
        SecretError: They cannot be read.
    """
    versions = (_labelled(client, secret_id, label) for label in ("AWSCURRENT", "AWSPREVIOUS"))
    return [version for version in versions if version]


def _labelled(client: "SecretsManagerClient", secret_id: str, label: str) -> Version | None:
    try:
        answer = client.get_secret_value(SecretId=secret_id, VersionStage=label)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise SecretError(f"the secret {secret_id} cannot be read: {error}") from None
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return Version(answer["VersionId"], answer.get("SecretString", ""), answer["CreatedDate"], now)


def write(
    client: "SecretsManagerClient", secret_id: str, text: str, *, after: Sequence[Version]
) -> None:
    """Write the version that follows those which were read.

    Raises:
        SecretError: Another one follows them already, or it cannot be written.
    """
    token = hashlib.sha256(" ".join(version.id for version in after).encode()).hexdigest()
    try:
        client.put_secret_value(SecretId=secret_id, SecretString=text, ClientRequestToken=token)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceExistsException":
            raise SecretError(
                "the secret was changed meanwhile and nothing was written: run this again"
            ) from None
        raise SecretError(f"the secret {secret_id} cannot be written: {error}") from None
