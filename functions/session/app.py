"""GET /session tells how long a session lives; DELETE /session ends it."""

from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.session_key import reset_session_key, session_key_is_live


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Check (``?verify=true``: at WeChat too) or log out (``?all=true``: everywhere)."""
    sessions, token = backend.sessions, request.bearer()
    if request.method == "DELETE":
        everywhere = request.flag("all")
        session = sessions.find(token)
        if everywhere:
            sessions.end_all(session)
            reset_session_key(session, access_tokens=backend.access_tokens, wechat=backend.wechat)
        else:
            sessions.end(session)
        return Reply(204)
    verify = request.flag("verify")
    session = sessions.find(token)
    answer: dict[str, object] = {"expiresAt": session.expires_at}
    if verify:
        answer["sessionKeyValid"] = session_key_is_live(
            session,
            failure_budget=backend.failure_budget,
            access_tokens=backend.access_tokens,
            wechat=backend.wechat,
        )
    return Reply(200, answer)


prepare()
