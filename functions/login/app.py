"""POST /login: a wx.login code becomes a session token."""

from wechat_auth import fields, services
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.login import login


@endpoint
def handler(request: Request) -> Reply:
    """Answer ``token`` and ``expiresAt``; openid and session_key stay here."""
    body = request.body()
    appid = fields.appid(body, services.settings().appids)
    issued = login(appid, fields.code(body))
    return Reply(200, {"token": issued.token, "expiresAt": issued.expires_at})


services.prepare(calls_wechat=True, needs_app_secrets=True)
