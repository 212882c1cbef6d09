"""POST /login: a wx.login code becomes a session token."""

from wechat_auth import fields
from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.login import login


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Answer ``token``, ``expiresAt``, and what the account function has for the client."""
    body = request.body()
    issued = login(
        fields.appid(body, backend.apps),
        fields.code(body),
        secrets=backend.secrets,
        wechat=backend.wechat,
        sessions=backend.sessions,
        account_function=backend.account_function,
        platform_of=backend.platform_of,
    )
    return Reply(200, issued.document())


prepare(
    calls_wechat=True,
    reads=lambda backend: backend.secrets.app_secret(backend.settings.with_app_secret[0]),
)
