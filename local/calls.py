"""Three calls of the API for a terminal, with codes that work now."""

import json

from local import API_CLIENT
from local.simulated_wechat import SimulatedWeChat


def three_calls(api_url: str, wechat: SimulatedWeChat, wechat_url: str) -> str:
    """Return the three calls, and how to get fresh codes.

    Args:
        api_url: Base URL of the API.
        wechat: Whose phones log in and tap, in its first mini-program.
        wechat_url: Where it listens.
    """
    # One person each: a login code of the same person would replace the key of another's data.
    login_code = wechat.phone().login()
    phone_code = wechat.phone().tap_phone_number().code
    phone = wechat.phone()
    one_shot = {"code": phone.login()}
    tap = phone.tap_phone_number()
    one_shot |= {"encryptedData": tap.encrypted_data, "iv": tap.iv}
    return f"""\
The three calls, with codes that work once and for the next five minutes:

    # log in
    {_curl(api_url + "/login", {"code": login_code})}

    # phone number, new style
    {_curl(api_url + "/phone", {"code": phone_code})}

    # phone number, legacy: log in and decrypt in one
    {_curl(api_url + "/decrypt", one_shot)}

What a server of yours asks, as the client {API_CLIENT[0]}, about the token of a login:

    curl -sS '{api_url}/introspect' -u {":".join(API_CLIENT)} -d token=<token>

Fresh codes, from the simulated phone (log in before you tap, as a mini-program does):

    curl -sS -X POST {wechat_url}/_phone/login
    curl -sS -X POST {wechat_url}/_phone/tap
"""


def _curl(url: str, body: dict[str, str]) -> str:
    # Quoted, because a stage may be called $default.
    return (
        f"curl -sS '{url}' -H 'content-type: application/json' "
        f"-d '{json.dumps(body, separators=(',', ':'))}'"
    )
