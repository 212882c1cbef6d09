"""A user whose codes always work, so that they can stand in files such as those of events/.

LOGIN_CODE, PHONE_CODE and CLOUD_ID can be exchanged again and again and never expire, and the
session_key stays the same. PUSH_TOKEN and ENCODING_AES_KEY are those of its message push.
ENCRYPTED_DATA was made with it on 1 November 2026, and WeChat vouches
for it for good; whoever checks the age of its watermark has to allow for that.
"""

from typing import Final

from .codes import Code
from .people import Person
from .world import World

OPENID: Final = "oSampleUserOfTheLocalStack00"
SESSION_KEY: Final = "c2FtcGxlIHNlc3Npb24gaw=="
LOGIN_CODE: Final = "0aSampleLoginCodeThatAlwaysWorks"
PHONE_CODE: Final = "c0de" * 16
CLOUD_ID: Final = "39_sampleCloudIdThatAlwaysWorks"
ENCRYPTED_DATA: Final = (
    "IHm6eQ3nElJUlEr0FbJgxH26bXseGmMSICowSVbVPJUqs1w8ij6RCV5C4fyOCWTGnkOOMYByLC4AKTch4fjDZh4PQpLN"
    "eZ5EwIQ12b5jcGoNHO6QJ+Iv7xrxDxGFCWZhmcs2c7pT9r7YBMn7OVRanr0W0CDejMRbjD84OOkOCBwMcxRIMDGUzteG"
    "7iqQMXbtE1FWxnwzK5tB1I18juY5gg=="
)
"""The number below, for wx0123456789abcdef."""
PUSH_TOKEN: Final = "sampleTokenOfTheLocalStack"  # noqa: S105
ENCODING_AES_KEY: Final = "sampleEncodingAESKeyOfTheLocalStack00000000"
_NUMBER: Final = "13800138000"
_MADE: Final = 1793534400


def add_to(world: World) -> None:
    """Let the first app have this user."""
    appid = next(iter(world.apps))
    person = Person(appid, OPENID, None, _NUMBER, "86", "Band", SESSION_KEY)
    data: dict[str, object] = {
        "phoneNumber": _NUMBER,
        "purePhoneNumber": _NUMBER,
        "countryCode": 86,
        "watermark": {"timestamp": _MADE, "appid": appid},
    }
    world.people[appid, OPENID] = person
    push = world.push_of(appid)
    push.token, push.encoding_aes_key = PUSH_TOKEN, ENCODING_AES_KEY
    world.codes.keep(Code("login", LOGIN_CODE, person, {}, lasting=True))
    world.codes.keep(Code("phone", PHONE_CODE, person, data, lasting=True))
    world.open_data.keep_phone(appid, ENCRYPTED_DATA)
    world.open_data.keep_cloud_id(appid, OPENID, CLOUD_ID, data | {"countryCode": "86"})
