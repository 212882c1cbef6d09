"""Every example that WeChat publishes, reproduced exactly; each names its source."""

import json
from pathlib import Path
from typing import Any

import pytest

from wechat_crypto import (
    decrypt_open_data,
    encrypted_data_hash,
    raw_data_signature,
    session_signature,
    verify_raw_data_signature,
)

OFFICIAL = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text("utf-8"))
OPEN_DATA = OFFICIAL["open_data"]
RAW_DATA = [one for one in OFFICIAL["signatures"] if "rawData" in one]
SESSION = [one for one in OFFICIAL["signatures"] if "data" in one]  # the empty one is derived

Example = dict[str, Any]


def name(example: Example) -> str:
    return str(example["id"])


def test_there_are_examples_of_every_kind() -> None:
    assert [len(OPEN_DATA), len(RAW_DATA), len(SESSION)] == [1, 1, 2]


@pytest.mark.parametrize("example", OPEN_DATA, ids=name)
def test_open_data_decrypts_to_the_published_object(example: Example) -> None:
    data = decrypt_open_data(
        example["session_key"], example["encryptedData"], example["iv"], appid=example["appid"]
    )

    assert data == {
        "openId": "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
        "nickName": "Band",
        "gender": 1,
        "language": "zh_CN",
        "city": "Guangzhou",
        "province": "Guangdong",
        "country": "CN",
        "avatarUrl": "http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4W"
        "gMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0",
        "unionId": "ocMvos6NjeKLIBqg5Mr9QjxrP1FA",
        "watermark": {"timestamp": 1477314187, "appid": "wx4f4bc4dec97d474b"},
    }
    assert data == json.loads(example["expected_plaintext"])


@pytest.mark.parametrize("example", RAW_DATA, ids=name)
def test_raw_data_has_the_published_signature(example: Example) -> None:
    raw_data, session_key = example["rawData"], example["session_key"]

    assert raw_data_signature(raw_data, session_key) == example["signature"]
    assert verify_raw_data_signature(raw_data, session_key, example["signature"]) is True


@pytest.mark.parametrize("example", SESSION, ids=name)
def test_a_message_has_the_session_signature_of_the_published_key(example: Example) -> None:
    assert session_signature(example["session_key"], example["data"]) == example["signature"]


def test_encrypted_data_has_the_published_hash() -> None:
    example = OFFICIAL["encrypted_msg_hash"]

    assert encrypted_data_hash(example["encryptedData"]) == example["sha256"]
