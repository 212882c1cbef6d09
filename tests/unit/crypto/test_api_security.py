"""API security: calls as WeChat opens them, and of answers none but its own."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.crypto.api_security_peer import (
    AES_KEY,
    AES_NUMBER,
    APPID,
    NOW,
    URL,
    Answer,
    certificate,
    document,
    read_call,
    rsa_key,
    seal_answer,
    seal_text,
    sign_body,
)
from wechat_crypto.api_security import (
    ApiAnswerError,
    ApiKeys,
    SymmetricKey,
    is_sealed,
    names_certificate,
    seal_call,
)

OFFICIAL = json.loads((Path(__file__).parent / "vectors" / "api_security.json").read_text("utf-8"))
OFFICIAL_DOCUMENT = document() | {
    "symmetricKey": {"number": OFFICIAL["aes_number"], "key": OFFICIAL["aes_key"]},
    "certificate": {
        "number": OFFICIAL["answer"]["headers"]["Wechatmp-Serial"],
        "pem": OFFICIAL["answer"]["certificate"],
    },
}
KEYS = ApiKeys.from_document(document())
CONTENT = {"errcode": 0, "errmsg": "ok", "vaild": True, "name": "张三"}
ANSWER = seal_answer(CONTENT)
OUTDATED = {"number": "theirs-before", "pem": certificate(rsa_key("theirs-before"))}

each_header = pytest.mark.parametrize(
    "name", ["Wechatmp-Appid", "Wechatmp-TimeStamp", "Wechatmp-Serial", "Wechatmp-Signature"]
)


def refused(answer: Answer, keys: Any = KEYS) -> None:
    """Hold that an answer is refused, with the text that every refusal has."""
    with pytest.raises(ApiAnswerError) as error:
        answer.open(keys)
    assert str(error.value) == (
        "the answer is not one that WeChat has sealed for this call, or not now"
    )
    assert error.value.__cause__ is None


def seal(parameters: dict[str, Any], **given_: Any) -> Any:
    symmetric, private = KEYS.symmetric[0], KEYS.private[0]
    return seal_call(
        URL, APPID, parameters, symmetric=symmetric, private=private, now=NOW, **given_
    )


class TestOfficialExample:
    def test_the_request_is_the_published_one_to_the_byte(self) -> None:
        request = OFFICIAL["request"]
        keys = ApiKeys.from_document(OFFICIAL_DOCUMENT)

        sealed = seal_call(
            OFFICIAL["url"],
            OFFICIAL["appid"],
            request["parameters"],
            symmetric=keys.symmetric[0],
            private=keys.private[0],
            now=request["timestamp"],
            nonce=request["nonce"],
            iv=base64.b64decode(json.loads(request["body"])["iv"]),
        )

        assert sealed.body == request["body"].encode()
        assert len(sealed.body) == 324
        assert sealed.headers["Wechatmp-Appid"] == "wxba6223c06417af7b"
        assert sealed.headers["Wechatmp-TimeStamp"] == "1635927954"

    def test_the_published_answer_opens(self) -> None:
        answer = OFFICIAL["answer"]
        published = Answer(
            answer["headers"],
            answer["body"].encode(),
            OFFICIAL["url"],
            OFFICIAL["appid"],
            now=1635927956,
        )

        opened = published.open(ApiKeys.from_document(OFFICIAL_DOCUMENT))

        assert len(published.body) == 292
        assert opened.content == answer["content"]
        assert opened.outdated is False
        refused(published.altered(now=NOW), ApiKeys.from_document(OFFICIAL_DOCUMENT))


class TestCall:
    @given(
        st.dictionaries(
            st.text(min_size=1).filter(lambda name: name != "access_token" and name[0] != "_"),
            st.one_of(st.text(), st.integers(), st.booleans(), st.none()),
        )
    )
    def test_another_library_verifies_and_decrypts_it(self, parameters: dict[str, Any]) -> None:
        sealed = seal(parameters)

        content = read_call(sealed, URL)

        assert content.pop("_appid") == APPID
        assert content.pop("_timestamp") == NOW
        assert len(base64.b64decode(content.pop("_n") + "==")) == 16
        assert content == parameters

    def test_the_access_token_stays_outside(self) -> None:
        sealed = seal({"access_token": "1_token", "code": "a"})
        assert read_call(sealed, URL).keys() == {"_n", "_appid", "_timestamp", "code"}

    def test_the_number_of_the_key_pair_is_told_but_not_signed(self) -> None:
        # `read_call` verifies the four lines that are signed.
        sealed = seal({})
        assert sealed.headers["Wechatmp-Serial"] == "ours"
        read_call(sealed, URL)

    def test_no_two_calls_are_alike(self) -> None:
        one, other = seal({"code": "a"}), seal({"code": "a"})
        assert one.body != other.body
        assert json.loads(one.body)["iv"] != json.loads(other.body)["iv"]

    def test_a_fraction_of_a_second_is_left_out_of_its_time(self) -> None:
        sealed = seal_call(
            URL, APPID, {}, symmetric=KEYS.symmetric[0], private=KEYS.private[0], now=NOW + 0.9
        )
        assert sealed.headers["Wechatmp-TimeStamp"] == str(NOW)
        assert read_call(sealed, URL)["_timestamp"] == NOW

    def test_nothing_of_it_is_shown(self) -> None:
        assert repr(seal({"code": "secret"})) == "SealedCall()"
        assert repr(ANSWER.open(KEYS)) == "OpenedAnswer(outdated=False)"


class TestAnswer:
    def test_it_opens_without_what_it_says_of_itself(self) -> None:
        opened = ANSWER.open(KEYS)
        assert (opened.content, opened.outdated) == (CONTENT, False)

    def test_the_case_of_a_headers_name_does_not_matter(self) -> None:
        for lower in (str.lower, str.upper):
            headers = {lower(name): value for name, value in ANSWER.headers.items()}
            assert ANSWER.altered(headers=headers).open(KEYS).content == CONTENT

    @given(st.integers(0, len(ANSWER.body) * 8 - 1))
    def test_no_bit_of_the_body_can_be_changed(self, bit: int) -> None:
        body = bytearray(ANSWER.body)
        body[bit // 8] ^= 1 << bit % 8
        refused(ANSWER.altered(body=bytes(body)))

    @pytest.mark.parametrize("change", [lambda b: b + b" ", lambda b: b[:-1], lambda _: b""])
    def test_its_body_can_be_neither_longer_nor_shorter(self, change: Any) -> None:
        refused(ANSWER.altered(body=change(ANSWER.body)))

    @each_header
    def test_no_header_can_be_missing(self, name: str) -> None:
        refused(ANSWER.with_header(name, None))

    @each_header
    @given(data=st.data())
    def test_no_character_of_a_header_can_be_changed(self, name: str, data: st.DataObject) -> None:
        value = ANSWER.headers[name]
        at = data.draw(st.integers(0, len(value) - 1))
        other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != value[at]))
        refused(ANSWER.with_header(name, value[:at] + other + value[at + 1 :]))

    @pytest.mark.parametrize("text", [f"0{NOW}", f" {NOW}", f"{NOW} ", f"+{NOW}", f"{NOW}.0", "٣"])
    def test_its_time_is_digits_alone(self, text: str) -> None:
        refused(ANSWER.with_header("Wechatmp-TimeStamp", text))

    @pytest.mark.parametrize(
        "change",
        [
            {"url": URL + "/"},
            {"url": URL.replace("https", "http")},
            {"url": "https://api2.weixin.qq.com/wxa/business/getuserphonenumber"},
            {"url": "https://api.weixin.qq.com/wxa/business/checkencryptedmsg"},
            {"appid": "wxba6223c06417af7c"},
            {"more": {"symmetric": SymmetricKey(AES_NUMBER, bytes(32))}},
            {"more": {"symmetric": SymmetricKey("another", AES_KEY)}},
        ],
    )
    def test_it_answers_one_call_of_one_app_with_one_key(self, change: dict[str, Any]) -> None:
        refused(ANSWER.altered(**change))

    @pytest.mark.parametrize("away", [-300, -299.5, 0, 300])
    def test_it_may_be_five_minutes_away(self, away: float) -> None:
        assert ANSWER.altered(now=NOW + away).open(KEYS).content == CONTENT

    @pytest.mark.parametrize("away", [-301, -300.5, 300.5, 301, 86_400])
    def test_it_may_not_be_longer_away(self, away: float) -> None:
        refused(ANSWER.altered(now=NOW + away))

    @pytest.mark.parametrize(
        "safety",
        [
            {"_appid": "wx0123456789abcdef"},
            {"_appid": None},
            {"_appid": [APPID]},
            {"_timestamp": str(NOW)},
            {"_timestamp": float(NOW)},
            {"_timestamp": NOW + 1},
            {"_timestamp": True},
            {"_timestamp": None},
        ],
    )
    def test_what_it_says_of_itself_inside_is_what_stands_outside(self, safety: Any) -> None:
        refused(seal_answer(CONTENT, safety=safety))

    @pytest.mark.parametrize("plain", [b"", b"[]", b'"text"', b"null", b"{", b"\xff"])
    def test_what_is_inside_is_a_json_object(self, plain: bytes) -> None:
        refused(seal_text(plain))

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"iv":1,"data":"","authtag":""}'])
    def test_a_body_that_is_signed_is_sealed_too(self, body: bytes) -> None:
        refused(sign_body(body))

    def test_its_tag_is_whole_and_its_iv_of_twelve_bytes(self) -> None:
        refused(seal_text(b"{}", tag=12))
        refused(seal_answer(CONTENT, iv=bytes(16)))

    def test_nothing_is_decrypted_before_the_signature_is_verified(self) -> None:
        class Untouched:
            number = AES_NUMBER

            @property
            def key(self) -> bytes:
                pytest.fail("it was decrypted")

        forged = ANSWER.with_header("Wechatmp-Signature", base64.b64encode(bytes(256)).decode())
        refused(forged.altered(more={"symmetric": Untouched()}))

    def test_a_plain_answer_is_told_from_a_sealed_one_by_its_members(self) -> None:
        assert is_sealed(json.loads(ANSWER.body))
        assert not is_sealed({"errcode": 40234, "errmsg": "API_Invalid_Signature"})
        assert not is_sealed({"iv": "", "data": ""})


class TestCertificates:
    def test_while_wechat_changes_it_the_one_before_is_good_but_outdated(self) -> None:
        before = ApiKeys.from_document(document() | {"certificate": OUTDATED})
        opened = ANSWER.open(before)
        assert (opened.content, opened.outdated) == (CONTENT, True)

    def test_the_new_one_goes_first_when_both_are_stored(self) -> None:
        both = {"certificate": OUTDATED, "previousCertificate": document()["certificate"]}
        opened = ANSWER.open(ApiKeys.from_document(document() | both))
        assert (opened.content, opened.outdated) == (CONTENT, False)

    def test_each_signature_is_for_its_own_certificate(self) -> None:
        headers = dict(ANSWER.headers)
        names = ("Wechatmp-Signature", "Wechatmp-Signature-Deprecated")
        headers |= {names[0]: headers[names[1]], names[1]: headers[names[0]]}
        refused(ANSWER.altered(headers=headers))

    def test_an_answer_for_another_certificate_is_refused_and_can_be_told(self) -> None:
        other = document()["certificate"] | {"number": "another"}
        keys = ApiKeys.from_document(document() | {"certificate": other})
        refused(ANSWER, keys)
        assert not names_certificate(ANSWER.headers, keys.certificates)
        assert names_certificate(ANSWER.headers, KEYS.certificates)

    def test_the_right_number_beside_another_certificate_proves_nothing(self) -> None:
        wrong = OUTDATED | {"number": "theirs"}
        refused(ANSWER, ApiKeys.from_document(document() | {"certificate": wrong}))
