"""`make app-secret ENV=… APPID=…`: stores one mini-program's AppSecret among the others."""

import getpass
import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.secret import SecretError, held, read, write
from infra.stack import deployed

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

_APP_SECRET = re.compile(r"[0-9a-fA-F]{32}")


def store(
    client: "SecretsManagerClient",
    secret_id: str,
    appid: str,
    *,
    served: list[str],
    ask: Callable[[str], str] = getpass.getpass,
) -> str:
    """Ask for an AppSecret and store it.

    Args:
        client: Of Secrets Manager.
        secret_id: The AppSecrets.
        appid: Whose it is.
        served: The mini-programs that the stack serves.
        ask: Shows a prompt and reads a line that is not shown.

    Returns:
        What is stored now; no AppSecret is in it.

    Raises:
        SecretError: Nothing was stored; the message says why.
    """
    if appid not in served:
        raise SecretError(
            f"{appid or 'APPID'} is not served: APPID is one of {', '.join(served)} (WeChatAppIds)"
        )
    versions = read(client, secret_id)
    secrets = held(versions)
    app_secret = ask(f"AppSecret of {appid} (it is not shown; paste it and press Enter): ")
    if not _APP_SECRET.fullmatch(app_secret):
        raise SecretError(
            "an AppSecret is 32 hexadecimal digits, without blanks: copy it again from the console "
            "(Development > Development settings). Nothing was stored."
        )
    secrets[appid] = app_secret
    write(client, secret_id, json.dumps(secrets), after=versions)
    missing = [each for each in served if each not in secrets]
    return "\n".join(
        (
            f"Stored. There is an AppSecret now for {', '.join(sorted(secrets))}.",
            *(f"Missing: make app-secret ENV=… APPID={each}" for each in missing),
        )
    )


def main(ask: Callable[[str], str] = getpass.getpass) -> None:
    """Store the AppSecret of the environment and the appid that the command line names."""
    environment, appid = (*sys.argv[1:], "", "")[:2]
    try:
        stack = deployed(environment)
        served = stack.parameters["WeChatAppIds"].split(",")
        secret_id = stack.outputs["AppSecretsArn"]
        print(store(stack.secrets_manager, secret_id, appid, served=served, ask=ask))
    except (ReleaseError, SecretError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
