"""Invoked by IAM alone: who has authorised the platform, and links by which others can."""

from wechat_auth import fields
from wechat_auth.backend import Backend
from wechat_auth.http import Event, invoked
from wechat_auth.platform.authorizations import known, links


@invoked
def handler(event: Event, backend: Backend) -> dict[str, object]:
    """Answer ``merchants`` or, if the event has a ``page`` to return to, two ``links``."""
    if backend.platform is None:
        return {"merchants": []}
    page = fields.page(event)
    if page is None:
        return {"merchants": known(backend.platform)}
    return {"links": links(backend.platform, page)}
