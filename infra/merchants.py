"""`make merchants ENV=…` and `make authorise ENV=… PAGE=…`: who has authorised the platform, and
links by which a merchant can. The stack's own function asks WeChat, from the addresses it knows.
"""  # noqa: D205 - two commands

import json
import sys
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.release import ReleaseError
from infra.stack import deployed


class MerchantsError(Exception):
    """Nothing could be told; the message says what to do."""


def ask(client: Any, function: str | None, page: str = "") -> str:
    """Ask the function, and return what to print.

    Args:
        client: Of Lambda.
        function: Its ARN, if the stack has a platform.
        page: Where an authorisation returns to; empty: list the merchants.

    Raises:
        MerchantsError: The function could not answer; the message says what to do.
    """
    if not function:
        raise MerchantsError("the stack has no third-party platform: deploy with ComponentAppId")
    payload = json.dumps({"page": page} if page else {}).encode()
    try:
        answer = client.invoke(FunctionName=function, Payload=payload)
        document = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise MerchantsError(f"the function cannot be invoked: {error}") from None
    if "FunctionError" in answer:
        raise MerchantsError(f"{document.get('errorMessage')}: its log has the remedy")
    return _links(document["links"]) if page else _merchants(document["merchants"])


def _links(links: dict[str, Any]) -> str:
    return (
        f"On a desktop, shows a QR code:\n  {links['desktop']}\nTo open in WeChat:\n  "
        f"{links['wechat']}\nFor one merchant, within {links['expiresIn'] // 60} minutes. Put the "
        "link onto a page of the host that is entered for authorisations: WeChat takes it from "
        "there alone."
    )


def _merchants(merchants: list[dict[str, Any]]) -> str:
    if not merchants:
        return "No merchant authorises the platform."
    return "\n".join(
        f"{each['appid']}  since {datetime.fromtimestamp(each['since'], UTC):%Y-%m-%d}  "
        f"{_permissions(each['permissions'])}"
        for each in merchants
    )


def _permissions(numbers: list[int] | None) -> str:
    if numbers is None:
        return "permission sets unknown until the merchant authorises the platform again"
    missing = "" if 18 in numbers else "; 18 IS MISSING: no phone numbers"  # noqa: PLR2004
    return f"permission sets {', '.join(map(str, numbers)) or 'none'}{missing}"


def main(environment: str, page: str = "") -> int:
    """Run the command."""
    try:
        stack = deployed(environment)
        function = stack.outputs.get("MerchantsFunctionArn")
        print(ask(stack.account.client("lambda"), function, page))
    except (ReleaseError, MerchantsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
