"""POST /decrypt: encryptedData and iv, or a cloudID, become what WeChat encrypted."""

from wechat_auth import fields
from wechat_auth.backend import Backend, prepare
from wechat_auth.errors import AuthError
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.login import login, login_code_spent


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Answer ``data``; with a login ``code`` in the body log in first, and answer ``session``."""
    body = request.body()
    logs_in = "code" in body
    token = request.optional_bearer() if logs_in else request.bearer()
    encrypted = fields.open_data(body)
    apps, sessions = backend.apps, backend.sessions
    if token and not logs_in:
        history = sessions.find_with_history(token)
        fields.appid(body, apps, history.session)
        return Reply(200, backend.open_data.read(encrypted, history))
    issued = login(
        fields.appid(body, apps, sessions.find(token) if token else None),
        fields.code(body),
        secrets=backend.secrets,
        wechat=backend.wechat,
        sessions=sessions,
        account_function=backend.account_function,
        platform_of=backend.platform_of,
    )
    try:
        with login_code_spent():
            answer = backend.open_data.read(encrypted, sessions.history(issued.session))
    except AuthError:
        sessions.discard(issued.session)
        raise
    return Reply(200, {**answer, "session": issued.document()})


prepare(lambda backend: backend.open_data, calls_wechat=True, reads=Backend.envelopes)
