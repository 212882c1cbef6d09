"""wechatpy, a public client this project did not write, speaks to the simulated WeChat.

So the simulation is not merely this project's own idea of WeChat.
"""

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from local.simulated_wechat import App, SimulatedWeChat, serve

APPID = "wx0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"


def wechatpy() -> Any:
    """Import wechatpy, whose old idioms Python warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("wechatpy")


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return SimulatedWeChat(apps=[App(APPID, SECRET)])


@pytest.fixture
def client(wechat: SimulatedWeChat, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    library = wechatpy()
    with serve(wechat) as server:
        client = library.WeChatClient(APPID, SECRET)
        client.API_BASE_URL = f"{server.url}/cgi-bin/"
        client.wxa.API_BASE_URL = f"{server.url}/"
        fetch = client._fetch_access_token

        def fetch_from_the_simulation(url: str, params: dict[str, str]) -> Any:
            # The one address that wechatpy does not let be configured.
            return fetch(url.replace("https://api.weixin.qq.com", server.url), params)

        monkeypatch.setattr(client, "_fetch_access_token", fetch_from_the_simulation)
        yield client
        client._http.close()


# wechatpy 1.8 calls its own deprecated `_get` and `_post` on some paths.
pytestmark = pytest.mark.filterwarnings("ignore:`_(get|post)` method:DeprecationWarning")


def test_wechatpy_gets_an_access_token(wechat: SimulatedWeChat, client: Any) -> None:
    reply = client.fetch_access_token()

    assert reply["expires_in"] == 7200
    assert client.access_token == reply["access_token"]
    assert wechat.count("getAccessToken", appid=APPID, errcode=0) == 1


def test_wechatpy_exchanges_a_login_code(wechat: SimulatedWeChat, client: Any) -> None:
    phone = wechat.phone()

    session = client.wxa.code_to_session(phone.login())

    assert session == {"openid": phone.openid, "session_key": phone.session_key}


def test_wechatpy_exchanges_a_phone_code(wechat: SimulatedWeChat, client: Any) -> None:
    tap = wechat.phone(number="13580006666").tap_phone_number()

    # wechatpy 1.8 has no method of its own for it: its general call with its token.
    reply = client.wxa._post("wxa/business/getuserphonenumber", data={"code": tap.code})

    assert reply["phone_info"]["purePhoneNumber"] == "13580006666"
    assert wechat.billed.exchanges == {tap.code: 1}


def test_wechatpy_raises_wechats_error_for_an_invalid_code(client: Any) -> None:
    with pytest.raises(wechatpy().WeChatClientException) as refused:
        client.wxa.code_to_session("0" * 32)

    assert refused.value.errcode == 40029
    assert refused.value.errmsg.startswith("invalid code rid: ")


def test_wechatpy_decrypts_what_the_phone_encrypted(wechat: SimulatedWeChat) -> None:
    wechatpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crypto = importlib.import_module("wechatpy.crypto")
    phone = wechat.phone()
    tap = phone.tap_phone_number()

    decrypted = crypto.WeChatWxaCrypto(phone.session_key, tap.iv, APPID).decrypt_message(
        tap.encrypted_data
    )

    assert decrypted["purePhoneNumber"] == "13800138000"
