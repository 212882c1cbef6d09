"""POST /phone: the code of the getPhoneNumber button becomes the user's phone number."""

from wechat_auth import fields
from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.phone import exchange_phone_code


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Answer the number, the same one however often this code is sent within 5 minutes."""
    settings = backend.settings
    token = request.bearer() if settings.phone_requires_login else request.optional_bearer()
    body = request.body()
    code = fields.code(body)
    session = backend.sessions.find(token) if token else None
    answer = exchange_phone_code(
        fields.appid(body, backend.apps, session),
        code,
        session,
        request.idempotency_key(),
        records=backend.phone_records,
        access_tokens=backend.access_tokens,
        wechat=backend.wechat,
        account_function=backend.account_function,
        envelope=backend.envelope,
    )
    return Reply(200, answer.document())


prepare(
    lambda backend: (backend.phone_records, backend.access_tokens),
    calls_wechat=True,
    reads=Backend.envelopes,
)
