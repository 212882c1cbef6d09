"""Scheduled every minute: renews access_tokens in their last minutes, so that no user waits."""

from wechat_auth import invocation
from wechat_auth.backend import Backend
from wechat_auth.errors import AuthError
from wechat_auth.http import scheduled


@scheduled
def handler(backend: Backend) -> dict[str, str]:
    """Answer for each appid ``renewed``, ``fresh``, or the code of the error it met."""
    outcome = {}
    for appid in backend.settings.with_app_secret:
        try:
            outcome[appid] = "renewed" if backend.access_tokens.renew(appid) else "fresh"
        except AuthError as error:
            invocation.log_fault(error)
            outcome[appid] = error.problem.code
    outcome |= backend.look_after_platform()
    invocation.logger.info("access_tokens", extra={"outcome": outcome})
    return outcome
