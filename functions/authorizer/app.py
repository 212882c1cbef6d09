"""Lambda authorizer for the team's own HTTP APIs: payload format 2.0, simple response."""

from wechat_auth.backend import Backend, prepare
from wechat_auth.http import authorizer


@authorizer
def handler(token: str, backend: Backend) -> dict[str, object]:
    """Let a request with a living session through, and say whose it is."""
    session = backend.sessions.find(token)
    return {
        "openid": session.openid,
        "unionid": session.unionid or "",
        "appid": session.appid,
        "accountId": session.account_id or "",
        "claims": session.claims or {},
    }


prepare()
