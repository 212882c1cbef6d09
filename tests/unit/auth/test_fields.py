"""Fields of a body: each wrong one is a 400 that names the field and never quotes it."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_auth import fields
from wechat_auth.apps import Apps
from wechat_auth.errors import APP_NOT_AUTHORIZED, INVALID_REQUEST, SESSION_INVALID, AuthError
from wechat_auth.fields import EncryptedOpenData
from wechat_auth.sessions import Session

APPID = "wx0123456789abcdef"
OTHER = "wxfedcba9876543210"
SESSION = Session(
    user=bytes(16),
    sort_key="1700000000#00",
    appid=APPID,
    openid="oGZUI0egBJY1zhBYw2KhdUfwVJJE",
    unionid=None,
    session_key="tiihtNczf5v6AKRyjwEUhQ==",
    expires_at=1_700_604_800,
)
IV = base64.b64encode(b"\xfb" * 16).decode()  # holds a plus sign in every group
DATA = base64.b64encode(b"\xfb" * 32).decode()
SIGNATURE = "75e81ceda165f4ffa64f4068af58c64b8f54b88c"

NO_TEXTS = [
    pytest.param(value, id=repr(value))
    for value in (None, "", 0, 1, True, False, 1.5, [], ["a"], {}, {"a": "b"})
]


def detail(read: Callable[[], object]) -> str:
    with pytest.raises(AuthError) as refused:
        read()
    assert refused.value.problem is INVALID_REQUEST
    return refused.value.detail


# ---------------------------------------------------------------------- code


@pytest.mark.parametrize(
    "code",
    [
        "0a3cDEFghIJklMNopQRstUVwxYZ01234",
        "f" * 64,
        "a",
        "-_",
        "a" * 256,
    ],
)
def test_a_code_of_wechats_alphabet_is_taken_as_it_is(code: str) -> None:
    assert fields.code({"code": code}) == code


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("a" * 257, id="too long"),
        pytest.param("a&appid=wxfedcba9876543210", id="another parameter"),
        pytest.param('a"', id="quote"),
        pytest.param("a b", id="blank"),
        pytest.param("a\n", id="line break at the end"),
        pytest.param("a%26", id="percent"),
        pytest.param("码", id="not ASCII"),
        pytest.param("\uff41", id="full-width letter"),
        pytest.param("٣", id="digit of another script"),
        pytest.param("\ud800", id="lone surrogate"),
    ],
)
def test_any_other_code_is_refused(code: str) -> None:
    assert detail(lambda: fields.code({"code": code})) == (
        "code: must be the code from wx.login or getPhoneNumber, unmodified"
    )


def test_the_mock_code_of_devtools_is_named() -> None:
    assert detail(lambda: fields.code({"code": "the code is a mock one"})) == (
        "code: is WeChat DevTools' mock one: open the project there with the mini-program's appid"
    )


def test_a_missing_code_is_said_to_be_missing() -> None:
    assert detail(lambda: fields.code({"Code": "a"})) == "code: is missing"


@pytest.mark.parametrize("value", NO_TEXTS)
def test_a_code_that_is_no_text_is_refused(value: object) -> None:
    assert detail(lambda: fields.code({"code": value})) == ("code: must be a non-empty string")


# ---------------------------------------------------------------------- appid


def test_where_one_app_is_served_its_appid_need_not_be_sent() -> None:
    assert fields.appid({}, Apps((APPID,))) == APPID
    assert fields.appid({"appid": APPID}, Apps((APPID,))) == APPID


def test_where_several_are_served_it_must_be() -> None:
    assert fields.appid({"appid": OTHER}, Apps((APPID, OTHER))) == OTHER
    assert detail(lambda: fields.appid({}, Apps((APPID, OTHER)))) == (
        "appid: is needed, since more than one mini-program is served here"
    )


@pytest.mark.parametrize("value", ["", "wx", OTHER, APPID + " ", APPID.upper(), 1, [APPID], None])
def test_an_appid_that_is_not_served_is_refused(value: object) -> None:
    assert detail(lambda: fields.appid({"appid": value}, Apps((APPID,)))) == (
        "appid: must be the appid of a mini-program that is served here"
    )


def test_with_a_platform_a_merchants_appid_is_served_and_the_own_app_needs_none() -> None:
    apps = Apps((APPID,), merchants=(OTHER,))
    assert fields.appid({"appid": OTHER}, apps) == OTHER
    assert fields.appid({"appid": APPID}, apps) == APPID
    assert fields.appid({}, apps) == APPID
    assert detail(lambda: fields.appid({}, Apps((), merchants=(OTHER,)))) == (
        "appid: is needed, since more than one mini-program is served here"
    )


def test_with_a_platform_an_app_that_authorises_it_not_is_told_so() -> None:
    apps = Apps((APPID,), merchants=(OTHER,))
    with pytest.raises(AuthError) as refused:
        fields.appid({"appid": "wx0000000000000000"}, apps)
    assert refused.value.problem is APP_NOT_AUTHORIZED
    assert detail(lambda: fields.appid({"appid": "wx"}, apps)) == (
        "appid: must be the appid of a mini-program that is served here"
    )


def test_with_a_session_the_appid_is_the_sessions() -> None:
    assert fields.appid({}, Apps((OTHER, APPID)), SESSION) == APPID
    assert fields.appid({"appid": APPID}, Apps((OTHER, APPID)), SESSION) == APPID


@pytest.mark.parametrize("value", [OTHER, "", None, [APPID], {}])
def test_with_a_session_another_appid_is_refused(value: object) -> None:
    assert detail(lambda: fields.appid({"appid": value}, Apps((OTHER, APPID)), SESSION)) == (
        "appid: must be the app that the Bearer token belongs to"
    )


def test_a_session_of_an_app_that_is_served_no_more_is_over() -> None:
    with pytest.raises(AuthError) as refused:
        fields.appid({}, Apps((OTHER,)), SESSION)

    assert refused.value.problem is SESSION_INVALID


# ---------------------------------------------------------------------- open data


def test_encrypted_data_and_iv_are_taken_as_they_are() -> None:
    assert fields.open_data({"encryptedData": DATA, "iv": IV}) == EncryptedOpenData(DATA, IV)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("+", " "),
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
        lambda text: quote(quote(text, safe=""), safe=""),
        lambda text: f"{text[:9]}\r\n{text[9:]}\n",
    ],
)
def test_what_old_front_ends_make_of_base64_is_put_back(damage: Callable[[str], str]) -> None:
    assert "+" in DATA
    assert "+" in IV
    damaged = {"encryptedData": damage(DATA), "iv": damage(IV)}

    assert fields.open_data(damaged) == EncryptedOpenData(DATA, IV)


@pytest.mark.parametrize("name", ["encryptedData", "iv"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no base64!", "not base64 (RFC 4648)"),
        (DATA + "\t", "not base64 (RFC 4648)"),
        ("Zh==", "not canonical base64"),
    ],
)
def test_other_damage_names_the_field(name: str, text: str, reason: str) -> None:
    body = {"encryptedData": DATA, "iv": IV, name: text}

    assert detail(lambda: fields.open_data(body)) == (
        f"{name}: {reason}: send the text exactly as wx gave it"
    )


@pytest.mark.parametrize("length", [1, 15, 17, 32])
def test_an_iv_of_another_length_is_refused(length: int) -> None:
    body = {"encryptedData": DATA, "iv": base64.b64encode(bytes(length)).decode()}

    assert detail(lambda: fields.open_data(body)) == (
        "iv: must be base64 of 16 bytes (24 characters)"
    )


@pytest.mark.parametrize("length", [1, 15, 17, 33])
def test_encrypted_data_that_is_not_whole_blocks_was_cut(length: int) -> None:
    body = {"encryptedData": base64.b64encode(bytes(length)).decode(), "iv": IV}

    assert detail(lambda: fields.open_data(body)) == (
        "encryptedData: was cut: AES blocks are 16 bytes each"
    )


@pytest.mark.parametrize("name", ["encryptedData", "iv"])
def test_one_of_the_two_alone_is_refused(name: str) -> None:
    body = {"encryptedData": DATA, "iv": IV}
    del body[name]

    assert detail(lambda: fields.open_data(body)) == f"{name}: is missing"


@pytest.mark.parametrize("name", ["encryptedData", "iv"])
@pytest.mark.parametrize("value", NO_TEXTS)
def test_encrypted_data_or_iv_that_is_no_text_is_refused(name: str, value: object) -> None:
    body = {"encryptedData": DATA, "iv": IV, name: value}

    assert detail(lambda: fields.open_data(body)) == f"{name}: must be a non-empty string"


def test_a_cloud_id_stands_instead() -> None:
    cloud_id = "28_BC-" + "x" * 506

    assert fields.open_data({"cloudID": cloud_id}) == EncryptedOpenData(cloud_id=cloud_id)


def test_what_wx_hands_out_together_is_taken_together() -> None:
    body = {"errMsg": "getPhoneNumber:ok", "encryptedData": DATA, "iv": IV}

    assert fields.open_data({**body, "cloudID": "28_BC"}) == EncryptedOpenData(DATA, IV, "28_BC")
    for none in ("", None):
        assert fields.open_data({**body, "cloudID": none}) == EncryptedOpenData(DATA, IV)


@pytest.mark.parametrize(("name", "missing"), [("encryptedData", "iv"), ("iv", "encryptedData")])
def test_a_cloud_id_does_not_hide_that_a_field_is_missing(name: str, missing: str) -> None:
    body = {"cloudID": "28_BC", name: {"encryptedData": DATA, "iv": IV}[name]}

    assert detail(lambda: fields.open_data(body)) == f"{missing}: is missing"


@pytest.mark.parametrize("cloud_id", ["x" * 513, "a b", 'a"', "编", "a\n"])
def test_a_cloud_id_of_another_form_is_refused(cloud_id: str) -> None:
    assert detail(lambda: fields.open_data({"cloudID": cloud_id})) == (
        "cloudID: must be the cloudID from wx, unmodified"
    )


# ---------------------------------------------------------------------- rawData and signature


@pytest.mark.parametrize("form", [{"encryptedData": DATA, "iv": IV}, {"cloudID": "28_BC"}])
def test_raw_data_and_signature_come_along(form: dict[str, str]) -> None:
    body = {**form, "rawData": '{"nickName":"李雷"}', "signature": SIGNATURE.upper()}

    read = fields.open_data(body)

    assert (read.raw_data, read.signature) == ('{"nickName":"李雷"}', SIGNATURE)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ({"rawData": "{}"}, "signature: is missing"),
        ({"signature": SIGNATURE}, "rawData: is missing"),
        ({"rawData": "", "signature": SIGNATURE}, "rawData: must be a non-empty string"),
        ({"rawData": {}, "signature": SIGNATURE}, "rawData: must be a non-empty string"),
        ({"rawData": "{}", "signature": None}, "signature: must be a non-empty string"),
        ({"rawData": "{}", "signature": "00"}, "signature: must be 40 hexadecimal digits"),
        (
            {"rawData": "{}", "signature": SIGNATURE + "\n"},
            "signature: must be 40 hexadecimal digits",
        ),
    ],
)
def test_half_of_the_pair_or_a_wrong_half_is_named(pair: dict[str, Any], expected: str) -> None:
    assert detail(lambda: fields.open_data({"encryptedData": DATA, "iv": IV, **pair})) == expected


def test_nothing_that_was_sent_is_shown_by_what_was_read() -> None:
    read = fields.open_data(
        {"encryptedData": DATA, "iv": IV, "rawData": "secret", "signature": SIGNATURE}
    )

    assert repr(read) == "EncryptedOpenData()"


# ---------------------------------------------------------------------- properties

any_text = st.text(st.characters(codec=None, exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)
bodies = st.dictionaries(
    st.sampled_from(["code", "appid", "encryptedData", "iv", "cloudID", "rawData", "signature"])
    | any_text,
    values,
)


@given(bodies)
def test_any_body_is_read_or_is_an_invalid_request(body: dict[str, Any]) -> None:
    for read in (
        fields.code,
        fields.open_data,
        lambda body: fields.appid(body, Apps((APPID, OTHER))),
        lambda body: fields.appid(body, Apps((APPID, OTHER)), SESSION),
    ):
        try:
            read(body)
        except AuthError as error:
            assert error.problem is INVALID_REQUEST  # noqa: PT017  any other would be ours


@given(bodies)
def test_fields_that_nobody_knows_are_ignored(body: dict[str, Any]) -> None:
    unknown = {f"x-{name}": value for name, value in body.items()}

    assert fields.code({**unknown, "code": "a"}) == "a"
