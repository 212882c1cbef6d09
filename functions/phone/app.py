"""POST /phone: the code of the getPhoneNumber button becomes the user's phone number."""

from wechat_auth import fields, services
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.phone import exchange_phone_code


@endpoint
def handler(request: Request) -> Reply:
    """Answer the number, the same one however often this code is sent within 5 minutes."""
    settings = services.settings()
    token = request.bearer() if settings.phone_requires_login else request.optional_bearer()
    body = request.body()
    code = fields.code(body)
    if token:
        session = services.sessions().find(token)
        appid = fields.appid_of(body, settings.appids, session)
    else:
        session = None
        appid = fields.appid(body, settings.appids)
    number = exchange_phone_code(appid, code, session)
    return Reply(
        200,
        {
            "phoneNumber": number.phone_number,
            "purePhoneNumber": number.pure_phone_number,
            "countryCode": number.country_code,
        },
    )


services.prepare(calls_wechat=True)
