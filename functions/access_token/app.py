"""Invoked by IAM alone: lends the team's own code the access_token that this deployment uses."""

from wechat_auth import fields
from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Event, invoked


@invoked
def handler(event: Event, backend: Backend) -> dict[str, str | int]:
    """Answer ``accessToken`` and ``expiresAt``; another one than ``rejected``, if that is sent."""
    appid = fields.appid(event, backend.apps)
    access_tokens = backend.access_tokens
    token = access_tokens.get(appid, rejected=fields.rejected(event))
    return {"accessToken": token, "expiresAt": access_tokens.expires_at(appid)}


prepare(lambda backend: backend.access_tokens, calls_wechat=True)
