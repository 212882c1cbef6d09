"""Works off the queue of what merchants authorise and withdraw, which takes calls to WeChat."""

from wechat_auth.backend import Backend
from wechat_auth.http import Event, queued
from wechat_auth.platform.authorizations import act_on


@queued
def handler(message: Event, backend: Backend) -> None:
    """Take up an authorisation or forget one; if that fails, the queue brings it again."""
    if backend.platform:
        act_on(message, platform=backend.platform, tokens=backend.token_table)
