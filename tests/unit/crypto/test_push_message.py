"""WeChat's pushes: what it sealed for this app opens; all else is one and the same error."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.crypto.push_peer import (
    APPID,
    KEY,
    NONCE,
    TIMESTAMP,
    TOKEN,
    Query,
    as_json,
    as_xml,
    encrypt,
    full,
    pad,
    signature,
    signed,
    wechatpy,
    xml_message,
)
from wechat_crypto.push_message import (
    EncodingAesKeyError,
    PlainPushError,
    PushMessageError,
    answer_to_verification,
    decode_aes_key,
    open_push,
)

OFFICIAL = json.loads((Path(__file__).parent / "vectors" / "push.json").read_text("utf-8"))
OTHER_KEY = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba"
EVENT = {"MsgType": "event", "Event": "user_authorization_revoke", "RevokeInfo": "8"}
SEALED = encrypt(pad(full(json.dumps(EVENT).encode())))


def opened(
    body: bytes, query: Query, *keys: str, token: str = TOKEN, appid: str = APPID
) -> dict[str, Any]:
    aes_keys = keys or (KEY,)
    return open_push(body, query=query, token=token, encoding_aes_keys=aes_keys, appid=appid)


def opened_text(message: bytes) -> dict[str, Any]:
    encrypted = encrypt(pad(full(message)))
    return opened(as_json(encrypted), signed(encrypted))


def refused(body: bytes, query: Query, *keys: str, **whose: str) -> None:
    with pytest.raises(PushMessageError) as caught:
        opened(body, query, *keys, **whose)
    assert str(caught.value) == "not a message that WeChat has sealed for this app"


def test_the_published_message_to_a_platform_opens() -> None:
    example = OFFICIAL["platform_xml"]
    query = {name: example[name] for name in ("timestamp", "nonce", "msg_signature")}
    query["signature"] = example["signature_without_body"]

    message = open_push(
        f"<xml><AppId>{example['appid']}</AppId><Encrypt>{example['encrypt']}</Encrypt></xml>"
        .encode(),
        query=query,
        token=OFFICIAL["token"],
        encoding_aes_keys=[OFFICIAL["encoding_aes_key"]],
        appid=example["appid"],
    )  # fmt: skip

    assert message == {
        "ToUserName": "gh_97417a04a28d",
        "FromUserName": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        "CreateTime": "1715943329",
        "MsgType": "event",
        "Event": "debug_demo",
        "debug_str": "hello world",
    }


def test_the_published_verification_of_an_address_is_answered() -> None:
    example = OFFICIAL["miniprogram_get"]

    assert answer_to_verification(example, token=OFFICIAL["token"]) == "4375120948345356249"


@pytest.mark.parametrize(
    "change",
    [
        {"echostr": ""},
        {"echostr": "<script>"},
        {"echostr": "1" * 129},
        {"signature": ""},
        {"signature": OFFICIAL["miniprogram_get"]["signature"].upper()},
        {"nonce": "1514711493"},
        {"timestamp": "\ud800"},
        {"signature": "签名"},
    ],
)
def test_any_other_verification_is_refused(change: Query) -> None:
    with pytest.raises(PushMessageError):
        answer_to_verification(OFFICIAL["miniprogram_get"] | change, token=OFFICIAL["token"])


def test_a_message_in_json_has_its_values_as_they_are() -> None:
    message = b'{"CreateTime":1715943329," OpenID":"oUser","List":[{"RevokeInfo":"8"}]}'

    assert opened_text(message) == {
        "CreateTime": 1715943329,
        "OpenID": "oUser",
        "List": [{"RevokeInfo": "8"}],
    }


def test_a_message_in_xml_has_text_dicts_and_lists() -> None:
    message = b"""<xml>
      <CreateTime>1715943329</CreateTime> <Empty/>
      <Text><![CDATA[a < b & c]]> &amp; d</Text>
      <List><PopupMsg><Id>1</Id></PopupMsg></List>
      <Item>1</Item><Item><Id>2</Id></Item><Item>3</Item>
    </xml>"""

    assert opened_text(message) == {
        "CreateTime": "1715943329",
        "Empty": "",
        "Text": "a < b & c & d",
        "List": {"PopupMsg": {"Id": "1"}},
        "Item": ["1", {"Id": "2"}, "3"],
    }


@pytest.mark.parametrize("envelope", [as_json, as_xml])
def test_the_envelope_may_be_json_or_xml(envelope: Any) -> None:
    assert opened(envelope(SEALED), signed(SEALED)) == EVENT


def test_compatible_mode_is_read_by_what_is_encrypted_alone() -> None:
    body = json.dumps({"Event": "forged", "Encrypt": SEALED}).encode()

    assert opened(body, signed(SEALED)) == EVENT


def test_a_message_under_the_key_before_opens_while_the_new_one_spreads() -> None:
    assert opened(as_json(SEALED), signed(SEALED), OTHER_KEY, KEY) == EVENT
    refused(as_json(SEALED), signed(SEALED), OTHER_KEY)


@pytest.mark.parametrize("last", "EFGH")
def test_stray_bits_in_the_last_character_of_a_key_mean_nothing(last: str) -> None:
    assert decode_aes_key(KEY[:-1] + last) == decode_aes_key(KEY[:-1] + "G")


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "=", KEY[:-1] + "-", KEY[:-1] + "键"])
def test_what_is_no_key_is_said_without_the_key(key: str) -> None:
    with pytest.raises(EncodingAesKeyError, match="an EncodingAESKey is 43 letters"):
        opened(as_json(SEALED), signed(SEALED), key)


def test_plain_mode_is_told_apart_only_if_wechat_signed_it() -> None:
    body, query = json.dumps(EVENT).encode(), signed("")
    with pytest.raises(PlainPushError):
        opened(body, query)

    with pytest.raises(PushMessageError) as caught:
        opened(body, query | {"nonce": "2"})
    assert type(caught.value) is PushMessageError


@pytest.mark.parametrize(
    "query",
    [
        {},
        signed(SEALED) | {"msg_signature": ""},
        signed(SEALED) | {"msg_signature": signature(TOKEN, TIMESTAMP, NONCE)},
        signed(SEALED) | {"msg_signature": signed(SEALED)["msg_signature"].upper()},
        signed(SEALED) | {"msg_signature": "签名"},
        signed(SEALED) | {"timestamp": "1715943330"},
        signed(SEALED) | {"nonce": "\ud800"},
        signed(SEALED, "AnotherToken"),
    ],
)
def test_a_message_without_its_own_signature_is_refused(query: Query) -> None:
    refused(as_json(SEALED), query)


@pytest.mark.parametrize(
    "encrypted",
    [
        "",
        "====",
        "签名",
        SEALED + "\n",
        SEALED[:-4],
        base64.b64encode(b"").decode(),
        base64.b64encode(b"r" * 15).decode(),
        encrypt(full(b"{}") + b"\0" * 8),
        encrypt(b"r" * 31 + b"\0"),
        encrypt(b"r" * 31 + b"\x21"),
        encrypt(b"\x20" * 32),
        encrypt(b"r" * 30 + b"\1\2"),
        encrypt(pad(b"r" * 10)),
        encrypt(pad(b"r" * 18)),
        encrypt(pad(full(b"{}", appid="wxfedcba9876543210"))),
        encrypt(pad(full(b"{}", appid=""))),
        encrypt(pad(full(b"{}", length=2**32 - 1))),
        encrypt(pad(full(b"{}", length=3))),
        encrypt(pad(full(b"{}", length=1))),
        encrypt(pad(full(b"[]"))),
        encrypt(pad(full(b"not JSON"))),
        encrypt(pad(full(b""))),
        encrypt(pad(full(b"<xml><a></xml>"))),
        encrypt(pad(full(b"<xml>text</xml>"))),
        encrypt(pad(full(b"<html><a>1</a></html>"))),
        encrypt(pad(full(b"<xml>" + b"<a>" * 16 + b"</a>" * 16 + b"</xml>"))),
        encrypt(pad(full(b"<xml><a>\xff</a></xml>"))),
        encrypt(pad(full(b"[" * 20_000))),
    ],
)  # fmt: skip
def test_a_signed_message_that_is_not_whole_and_for_this_app_is_refused(encrypted: str) -> None:
    refused(as_json(encrypted), signed(encrypted))


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE xml><xml><Encrypt>{0}</Encrypt></xml>',
        '<!DOCTYPE xml [<!ENTITY e "{0}">]><xml><Encrypt>&e;</Encrypt></xml>',
        '<!DOCTYPE xml SYSTEM "file:///etc/hostname"><xml><Encrypt>{0}</Encrypt></xml>',
        '<xml><Encrypt>&e;</Encrypt></xml>',
        '<?xml version="1.0" encoding="no-such"?><xml><Encrypt a="{0}"/></xml>',
        "<xml><Encrypt>{0}</Encrypt><Encrypt>{0}</Encrypt></xml>",
        "<xml><Encrypt>{0}</Encrypt>",
        "<Encrypt>{0}</Encrypt>",
        '{{"Encrypt":["{0}"]}}',
        '["{0}"]',
        "{0}",
        "",
    ],
)  # fmt: skip
def test_document_types_entities_and_other_envelopes_are_refused(document: str) -> None:
    refused(document.format(SEALED).encode(), signed(SEALED))


def test_xml_is_read_as_utf_8_whatever_it_declares() -> None:
    message = '<?xml version="1.0" encoding="gbk"?><xml><a>中文</a></xml>'.encode()

    assert opened_text(message) == {"a": "中文"}


@given(st.dictionaries(st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), st.text()), st.booleans())
def test_what_wechatpy_seals_opens(message: dict[str, str], in_json: bool) -> None:
    fields = {name: "".join(c for c in text if c >= " " and c.isprintable()) or "x"
              for name, text in message.items()}  # fmt: skip
    fields["CreateTime"] = TIMESTAMP
    text = json.dumps(fields, ensure_ascii=False) if in_json else xml_message(**fields)

    body = wechatpy().encrypt_message(text, NONCE, TIMESTAMP)
    given_signature = re.findall(r"<MsgSignature><!\[CDATA\[(\w+)", body)[0]
    query = {"timestamp": TIMESTAMP, "nonce": NONCE, "msg_signature": given_signature}

    assert opened(body.encode(), query) == fields


@given(st.binary(max_size=200))
def test_wechatpy_opens_what_these_tests_seal(content: bytes) -> None:
    text = content.hex()
    encrypted = encrypt(pad(full(text.encode())))

    found = wechatpy().decrypt_message(
        as_xml(encrypted).decode(), signed(encrypted)["msg_signature"], TIMESTAMP, NONCE
    )

    assert found == text


@given(st.data())
def test_a_cut_or_flipped_message_is_refused_though_it_is_signed(data: st.DataObject) -> None:
    ciphertext = bytearray(base64.b64decode(SEALED))
    if data.draw(st.booleans()):
        del ciphertext[data.draw(st.integers(0, len(ciphertext) - 1)) :]
    else:
        # CBC flips the same bit a block later. Length, appid and padding are checked there; text
        # cannot be told from other text, and is what the signature is for.
        appid_at = len(full(json.dumps(EVENT).encode())) - len(APPID)
        checked = [*range(4), *range(appid_at - 16, len(ciphertext))]
        at = data.draw(st.sampled_from(checked))
        ciphertext[at] ^= data.draw(st.integers(1, 255))
    encrypted = base64.b64encode(ciphertext).decode()

    refused(as_json(encrypted), signed(encrypted))
    refused(as_json(encrypted), signed(SEALED))


@given(st.permutations(["token", "timestamp", "nonce"]), st.text(), st.text())
def test_a_signature_of_swapped_or_other_parts_does_not_fit(
    order: list[str], timestamp: str, nonce: str
) -> None:
    encrypted = encrypt(pad(full(b'{"a":1}')))
    query = signed(encrypted) | {"timestamp": timestamp, "nonce": nonce}
    if sorted([timestamp, nonce]) != sorted([TIMESTAMP, NONCE]):
        refused(as_json(encrypted), query)
    swapped = signed(encrypted) | {"signature": query["msg_signature"], "msg_signature": "0" * 40}
    refused(as_json(encrypted), swapped)


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=9), st.text(max_size=50)))
def test_no_bytes_and_no_query_are_another_error(body: bytes, query: dict[str, str]) -> None:
    refused(body, query)


@given(st.binary(max_size=300))
def test_no_decrypted_bytes_are_another_error_or_anything_but_an_object(content: bytes) -> None:
    encrypted = encrypt(pad(full(content)))
    try:
        message = opened(as_json(encrypted), signed(encrypted))
    except PushMessageError:
        return
    assert isinstance(message, dict)
