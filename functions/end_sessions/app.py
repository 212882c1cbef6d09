"""Invoked by IAM alone: logs users out everywhere, because the team says so."""

from wechat_auth import fields, invocation
from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Event, invoked


@invoked
def handler(event: Event, backend: Backend) -> dict[str, int]:
    """Answer how many sessions ``ended``; what fails halfway can be sent again."""
    appid = fields.appid(event, backend.apps)
    openids = fields.openids(event)
    ended = sum(backend.sessions.end_all_of(appid, openid) for openid in openids)
    invocation.logger.info(
        "sessions ended", extra={"appid": appid, "users": len(openids), "ended": ended}
    )
    return {"ended": ended}


prepare()
