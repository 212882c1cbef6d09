"""POST /decrypt: encryptedData and iv, or a cloudID, become what WeChat encrypted."""

from wechat_auth import fields, services
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.login import login
from wechat_auth.open_data import read_open_data


@endpoint
def handler(request: Request) -> Reply:
    """Answer ``data``; with a login ``code`` in the body log in first, and answer ``session``."""
    body = request.body()
    logs_in = "code" in body
    token = request.optional_bearer() if logs_in else request.bearer()
    encrypted = fields.open_data(body)
    appids = services.settings().appids
    sessions = services.sessions()
    if token and not logs_in:
        history = sessions.find_with_history(token)
        fields.appid_of(body, appids, history.session)
        return Reply(200, {"data": read_open_data(encrypted, history)})
    code = fields.code(body)
    session = sessions.find(token) if token else None
    appid = fields.appid_of(body, appids, session) if session else fields.appid(body, appids)
    issued = login(appid, code)
    data = read_open_data(encrypted, sessions.history(issued.session))
    return Reply(
        200, {"data": data, "session": {"token": issued.token, "expiresAt": issued.expires_at}}
    )


services.prepare(calls_wechat=True)
