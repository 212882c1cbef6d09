"""Bodies and headers made to break a parser: each is answered as the contract says, and soon."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_auth import fields
from wechat_auth.errors import AuthError
from wechat_auth.http import MAX_BODY, Reply, Request, prefers_english
from wechat_crypto import decode_base64, repair_base64
from wechat_crypto.open_data import parse_object

from .calling import Context, document, endpoint, event

any_text = st.text(st.characters(codec=None, exclude_categories=()))
NOT_JSON = "body: must be JSON (RFC 8259) in UTF-8, and no name may stand twice"


@endpoint
def names(request: Request) -> Reply:
    """Answer the body's names."""
    return Reply(200, {"names": list(request.body())})


def status_and_detail(body: str | bytes) -> tuple[int, str | None]:
    answer = names(event(body), Context())
    return answer["statusCode"], document(answer).get("detail")


def within(depth: int, inner: str, *, arrays: bool = False) -> str:
    """Put JSON deep into a body."""
    before, after = ("[", "]") if arrays else ('{"b":', "}")
    return '{"a":' + before * depth + inner + after * depth + "}"


# ---------------------------------------------------------------------- JSON

depths = st.integers(0, 50)


@given(depths, any_text, st.booleans(), st.booleans())
def test_a_name_twice_is_refused_at_any_depth(
    depth: int, name: str, arrays: bool, escaped: bool
) -> None:
    once = json.dumps(name)
    # The same name in another spelling is the same name.
    again = '"' + "".join(f"\\u{ord(c):04x}" for c in name if ord(c) < 0x10000) + '"'
    if not escaped or any(ord(c) >= 0x10000 for c in name):
        again = once
    body = within(depth, f"{{{once}:1,{again}:2}}", arrays=arrays)

    assert status_and_detail(body) == (400, NOT_JSON)


@given(depths, st.booleans(), st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "+1", "01",
       "1.", ".5", "0x10", "1_000", "'a'", "undefined", "True", "{,}", "[1,]", '{"a":1,}', "//",
       "/**/1", '"\t"', '"\\x41"', '"\\ud8"', "\ufeff1", "\xa01", "1" * 5_000,
       "-" + "9" * 5_000]))  # fmt: skip
def test_what_json_lacks_is_refused_at_any_depth(depth: int, arrays: bool, value: str) -> None:
    assert status_and_detail(within(depth, value, arrays=arrays)) == (400, NOT_JSON)


@given(depths, st.booleans(), st.sampled_from(["1e400", "-1e400", "1e-400", "1E+99999", "-0",
       "1" * 4_000, "0." + "3" * 5_000, "1" + "0" * 300 + ".5e-300", '"\\ud800"', '"\\u0000"',
       "{}", "[]", '""', "null", "true"]))  # fmt: skip
def test_what_json_allows_and_nobody_asked_for_is_ignored(
    depth: int, arrays: bool, value: str
) -> None:
    assert status_and_detail(within(depth, value, arrays=arrays)) == (200, None)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', "[[[["])
@pytest.mark.parametrize("depth", [500, 1_000, 2_700, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_no_depth_is_an_exception(opening: str, depth: int, closed: bool) -> None:
    closing = {"[": "]", "{": "}"}
    inner = opening * depth + ("1" if opening.endswith(":") or closed else "")
    if closed:
        ends = "".join(closing[c] for c in reversed(opening) if c in closing)
        inner += ends * depth
    body = '{"a":' + inner + "}"

    status, detail = status_and_detail(body)

    if len(body) > MAX_BODY:
        assert status == 413
    elif closed and depth == 500 and opening == "[":
        assert (status, detail) == (200, None)
    else:
        assert (status, detail) in {(200, None), (400, NOT_JSON)}


@given(st.binary(min_size=1, max_size=4).filter(lambda content: not _is_utf8(content)), depths)
@example(b"\xed\xa0\x80", 1)  # a surrogate, as CESU-8 has it
@example(b"\xc0\x80", 1)  # NUL in two bytes
@example(b"\xf4\x90\x80\x80", 1)  # beyond Unicode
def test_bytes_that_are_not_utf_8_are_refused(content: bytes, depth: int) -> None:
    before, after = within(depth, '"x"').encode().split(b"x")

    assert status_and_detail(before + content + after) == (400, NOT_JSON)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32)))
@example("\U0001f600")
@example("\u202e")
def test_any_unicode_is_read_as_it_is(text: str) -> None:
    answer = names(event(f'{{"{text}":1}}'), Context())

    assert document(answer) == {"names": [text]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "gb18030"])
def test_a_body_in_another_encoding_is_refused(encoding: str) -> None:
    body = '{"código":"码"}'.encode(encoding)

    assert status_and_detail(body) == (400, NOT_JSON)


@given(st.integers(0, 1500), st.booleans())
def test_what_is_read_of_open_data_can_be_answered_however_deep_it_is(
    depth: int, arrays: bool
) -> None:
    data = parse_object(within(depth, "1", arrays=arrays).encode())

    answer = endpoint(lambda _: Reply(200, {"data": data}))(event(), Context())

    assert answer["statusCode"] == 200


# ---------------------------------------------------------------------- headers

case_of = st.lists(st.booleans(), min_size=20, max_size=20)


def in_case(name: str, upper: list[bool]) -> str:
    return "".join(c.upper() if up else c for c, up in zip(name, upper, strict=False))


@given(case_of, st.sampled_from(["en", "en-GB;q=0.8,zh;q=0.1", "zh,en,en;q=0.9"]))
def test_accept_language_is_found_in_every_case(upper: list[bool], value: str) -> None:
    asked = event("x", headers={in_case("accept-language", upper): value})

    expected = "zh-CN" if value.startswith("zh,") else "en"
    assert names(asked, Context())["headers"]["Content-Language"] == expected


languages = st.tuples(
    st.sampled_from(["en", "EN-us", "zh", "zh-Hant-TW", "fr", "*", ""]),
    st.sampled_from(["", ";q=0.5", ";q=1", "; q=0", ";q=0.001", ";Q=0.3", ";q=x", ";q=", ";v=b"]),
).map("".join)


@given(st.lists(st.lists(languages, min_size=1, max_size=3), min_size=1, max_size=3))
def test_a_header_that_came_in_parts_is_read_as_one(parts: list[list[str]]) -> None:
    joined = ",".join(",".join(part) for part in parts)  # as API Gateway joins them
    spaced = " , ".join("\t,".join(part) for part in parts)

    assert prefers_english(joined) == prefers_english(spaced)


# ---------------------------------------------------------------------- the worst that 16 KiB hold

WHOLE = MAX_BODY - 8
HEADER = 10_240  # bytes that API Gateway takes of all headers together
PARTS = 8


def reading(read: Callable[[], object]) -> Callable[[], object]:
    def attempt() -> object:
        try:
            return read()
        except (AuthError, ValueError) as refused:
            return refused

    return attempt


def open_data(**body: Any) -> Callable[[], object]:
    return reading(lambda: fields.open_data(body))


def body_of(text: str) -> Callable[[], object]:
    return lambda: names(event(text), Context())


WORST: dict[str, tuple[int, Callable[[int], Callable[[], object]]]] = {
    "arrays": (WHOLE, lambda size: body_of("[" * size)),
    "objects": (WHOLE // 5, lambda size: body_of('{"a":' * size)),
    "empty arrays": (WHOLE // 3 - 8, lambda size: body_of('{"a":[' + "[]," * size + "[]]}")),
    "names": (
        1_700,
        lambda size: body_of("{" + ",".join(f'"{n}":0' for n in range(size)) + "}"),
    ),
    "a name, again and again": (
        WHOLE // 6 - 8,
        lambda size: body_of('{"a":0' + ',"a":0' * size + "}"),
    ),
    "a long number": (WHOLE - 6, lambda size: body_of('{"a":' + "1" * size + "}")),
    "long numbers": (
        PARTS,
        lambda size: body_of('{"a":[' + ",".join(["7" * 2_000] * size) + "]}"),
    ),
    "a long fraction": (WHOLE - 8, lambda size: body_of('{"a":0.' + "1" * size + "}")),
    "a far exponent": (WHOLE - 8, lambda size: body_of('{"a":1e' + "9" * size + "}")),
    "escapes": (WHOLE // 6 - 2, lambda size: body_of('{"a":"' + "\\u0000" * size + '"}')),
    "half surrogates": (WHOLE // 6 - 2, lambda size: body_of('{"a":"' + "\\ud83d" * size + '"}')),
    "blanks": (WHOLE, lambda size: body_of(" " * size)),
    "a text without an end": (
        WHOLE // 2 - 8,
        lambda size: body_of('{"a":"' + "\\\\" * size),
    ),
    "base64 that is none": (
        WHOLE,
        lambda size: (
            lambda: names({**event(), "body": "=" * size, "isBase64Encoded": True}, Context())
        ),
    ),
    "code": (WHOLE, lambda size: reading(lambda: fields.code({"code": "a" * size}))),
    "cloudID": (WHOLE, lambda size: open_data(cloudID="-" * size)),
    "signature": (WHOLE, lambda size: open_data(cloudID="a", rawData="a", signature="0" * size)),
    "blanks for plus signs": (WHOLE, lambda size: reading(lambda: repair_base64(" " * size))),
    "padding": (WHOLE, lambda size: reading(lambda: decode_base64("=" * size))),
    "encryptedData": (
        12_240,
        lambda size: open_data(encryptedData=base64.b64encode(bytes(size)).decode(), iv="A" * 24),
    ),
    "languages": (HEADER // 9, lambda size: lambda: prefers_english("en;q=0.1," * size)),
    "commas": (HEADER, lambda size: lambda: prefers_english("," * size)),
    "weights": (HEADER, lambda size: lambda: prefers_english("en;q=" + "1" * size)),
    "a token": (
        HEADER,
        lambda size: (
            lambda: Request.from_event(
                event(headers={"authorization": "Bearer" + " " * size + "a"})
            ).bearer()
        ),
    ),
}


@pytest.mark.parametrize(("size", "work"), WORST.values(), ids=WORST)
def test_the_worst_body_takes_its_length_in_time_and_no_more(
    size: int, work: Callable[[int], Callable[[], object]]
) -> None:
    assert growth(work, size) < 2 * PARTS


def test_the_measure_tells_quadratic_work() -> None:
    def quadratic(size: int) -> Callable[[], object]:
        return lambda: [text.count("b") for end in range(size) if (text := "a" * end)]

    assert growth(quadratic, WHOLE) > 2 * PARTS


def growth(work: Callable[[int], Callable[[], object]], size: int) -> float:
    """Return how many times as long the whole takes as an eighth of it.

    A ratio, so that it is the same on every machine; the shortest of many times, since noise
    only adds.
    """
    part, whole = work(size // PARTS), work(size)
    times = [(processor_time(part), processor_time(whole)) for _ in range(15)]
    return min(time for _, time in times) / min(time for time, _ in times)


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds of a processor that this thread takes."""
    started = time.thread_time()
    work()
    return time.thread_time() - started
