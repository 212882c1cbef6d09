"""POST /login: a wx.login code becomes a session token."""

from wechat_auth import fields
from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.login import login


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Answer ``token`` and ``expiresAt``; openid and session_key stay here."""
    body = request.body()
    issued = login(
        fields.appid(body, backend.settings.appids),
        fields.code(body),
        secrets=backend.secrets,
        wechat=backend.wechat,
        sessions=backend.sessions,
    )
    return Reply(200, {"token": issued.token, "expiresAt": issued.expires_at})


prepare(calls_wechat=True, needs_app_secrets=True)
