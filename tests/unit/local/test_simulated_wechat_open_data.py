"""Open data of the simulated WeChat: encryption, signatures, and what WeChat remembers of it."""

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
import time_machine
from Crypto.Cipher import AES

from local.simulated_wechat import Phone, SimulatedWeChat
from local.simulated_wechat.open_data import (
    encrypted_data_hash,
    raw_data_signature,
    session_signature,
)

from .wechat_caller import APPID, OTHER_APPID, Caller, Document

NOW = 1_795_219_200


@pytest.fixture(autouse=True)
def _time_stands_still() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def decrypted(session_key: str | None, encrypted_data: str, iv: str) -> Document:
    """Decrypt by the published rule, step by step."""
    key = base64.b64decode(session_key or "")
    cipher = AES.new(key, AES.MODE_CBC, iv=base64.b64decode(iv))
    padded = cipher.decrypt(base64.b64decode(encrypted_data))
    document: Document = json.loads(padded[: -padded[-1]])
    return document


def test_a_tap_encrypts_the_number_with_the_live_session_key(wechat: SimulatedWeChat) -> None:
    phone = wechat.phone(APPID, "13580006666")
    phone.login()
    tap = phone.tap_phone_number()

    assert decrypted(phone.session_key, tap.encrypted_data, tap.iv) == {
        "phoneNumber": "13580006666",
        "purePhoneNumber": "13580006666",
        "countryCode": "86",
        "watermark": {"timestamp": NOW, "appid": APPID},
    }


def test_a_watermark_can_lie_in_the_past(wechat: SimulatedWeChat) -> None:
    phone = wechat.phone()
    tap = phone.tap_phone_number(watermark_age=601)
    info = phone.user_info(watermark_age=601)

    for each in (tap, info):
        watermark = decrypted(phone.session_key, each.encrypted_data, each.iv)["watermark"]
        assert watermark == {"timestamp": NOW - 601, "appid": APPID}


def test_user_info_is_as_in_the_published_example(wechat: SimulatedWeChat) -> None:
    phone = wechat.phone(nick_name="小程序")
    info = phone.user_info()

    shown = json.loads(info.raw_data)
    assert list(shown) == [
        "nickName",
        "gender",
        "language",
        "city",
        "province",
        "country",
        "avatarUrl",
    ]
    assert '"nickName":"小程序"' in info.raw_data
    assert decrypted(phone.session_key, info.encrypted_data, info.iv) == {
        "openId": phone.openid,
        **shown,
        "watermark": {"timestamp": NOW, "appid": APPID},
    }
    signed = (info.raw_data + str(phone.session_key)).encode()
    assert info.signature == hashlib.sha1(signed, usedforsecurity=False).hexdigest()


def test_signatures_and_hash_agree_with_wechats_published_examples() -> None:
    avatar = (
        "http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBi"
        "aycAjAtpujxyzYsrztuuICqIM5ibXQ/0"
    )
    raw_data = (
        '{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou",'
        f'"province":"Guangdong","country":"CN","avatarUrl":"{avatar}"}}'
    )
    signature = "75e81ceda165f4ffa64f4068af58c64b8f54b88c"
    assert raw_data_signature(raw_data, "HyVFkGl5F5OQWJZZaNzBBg==") == signature
    signature = "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"
    assert session_signature("o0q0otL8aEzpcZL/FT9WsQ==") == signature
    encrypted_data = (
        "hsSuSUsePBqSQw2rYMtf9Nvha603xX8f2BMQBcYRoJiMNwOqt/UEhrqekebG5ar0LFNAm5MD4Uz6zorRwiXJwbySJ/"
        "FEJHav4NsobBIU1PwdjbJWVQLFy7+YFkHB32OnQXWMh6ugW7Dyk2KS5BXp1f5lniKPp1KNLyNLlFlNZ2mgJCJmWvHj"
        "5AI7BLpWwoRvqRyZvVXo+9FsWqvBdxmAPA=="
    )
    digest = "657edd868c9715a9bebe42b833269a557a48498785397a796f1568c29a200b2c"
    assert encrypted_data_hash(encrypted_data) == digest


def test_wechat_knows_its_phone_ciphertexts(wechat: SimulatedWeChat, api: Caller) -> None:
    tap = wechat.phone().tap_phone_number()

    reply = api.check_encrypted(api.token(), tap.encrypted_data)

    assert reply == {"errcode": 0, "errmsg": "ok", "vaild": True, "create_time": NOW}


def test_wechat_forgets_a_phone_ciphertext_after_three_days(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    tap = wechat.phone().tap_phone_number()
    wechat.clock.advance(3 * 86400 - 1)
    assert api.check_encrypted(api.token(), tap.encrypted_data)["vaild"] is True
    wechat.clock.advance(1)
    reply = api.check_encrypted(api.token(), tap.encrypted_data)
    assert (reply["errcode"], reply["vaild"]) == (1, False)


def test_only_phone_ciphertexts_are_known(wechat: SimulatedWeChat, api: Caller) -> None:
    info = wechat.phone().user_info()

    assert api.check_encrypted(api.token(), info.encrypted_data)["errcode"] == 1


def test_another_apps_ciphertext_is_unknown(wechat: SimulatedWeChat, api: Caller) -> None:
    tap = wechat.phone().tap_phone_number()

    assert api.check_encrypted(api.token(OTHER_APPID), tap.encrypted_data)["errcode"] == 1


def test_a_cloud_id_lives_five_minutes(wechat: SimulatedWeChat, api: Caller) -> None:
    phone = wechat.phone()
    cloud_id = phone.tap_phone_number().cloud_id
    wechat.clock.advance(299)
    assert "data" in _answered(api, phone, cloud_id)
    wechat.clock.advance(1)
    assert "data" not in _answered(api, phone, cloud_id)


def test_an_unknown_openid_is_invalid(wechat: SimulatedWeChat, api: Caller) -> None:
    cloud_id = wechat.phone().tap_phone_number().cloud_id

    assert api.open_data(api.token(), "o" * 28, cloud_id)["errcode"] == 40003


def test_an_app_without_cloud_development_has_no_cloud_ids(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    phone = wechat.phone(OTHER_APPID)

    assert phone.tap_phone_number().cloud_id is None
    assert phone.user_info().cloud_id is None
    assert api.open_data(api.token(OTHER_APPID), phone.openid, "39_x")["errcode"] == 48001


def _answered(api: Caller, phone: Phone, cloud_id: str | None) -> Document:
    [item] = api.open_data(api.token(), phone.openid, cloud_id)["data_list"]
    document: Document = json.loads(item["json"])
    return document
