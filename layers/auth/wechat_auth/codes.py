"""The two kinds of code that a mini-program sends, told apart by their form."""

LOGIN_CODE_SENT_AS_PHONE_CODE = (
    "This has the form of a wx.login code: send e.detail.code of the getPhoneNumber button; the "
    "two codes are not interchangeable."
)
PHONE_CODE_SENT_AS_LOGIN_CODE = (
    "This has the form of a phone code (getPhoneNumber): POST it to /phone, and send the code of "
    "wx.login here."
)

PHONE_CODE_OF_ANOTHER_APP = (
    "This phone code was made in another mini-program than the one of the session, or of appid: "
    "send it to the deployment, and with the session, of the app in which the user tapped."
)

_LOGIN_CODE_LENGTH = 32
_PHONE_CODE_LENGTH = 64


def looks_like_login_code(code: str) -> bool:
    """Tell whether a code has the form of wx.login's: 32 letters and digits from a ``0`` on."""
    return len(code) == _LOGIN_CODE_LENGTH and code.startswith("0") and code.isalnum()


def looks_like_phone_code(code: str) -> bool:
    """Tell whether a code has the form of getPhoneNumber's: 64 lower-case hexadecimal digits."""
    return len(code) == _PHONE_CODE_LENGTH and not set(code) - set("0123456789abcdef")
