"""POST /introspect: a server of the team's asks who a session token stands for (RFC 7662)."""

from wechat_auth.backend import Backend, prepare
from wechat_auth.http import Reply, Request, endpoint
from wechat_auth.introspection import check_client, introspect


@endpoint
def handler(request: Request, backend: Backend) -> Reply:
    """Answer who the user is, or only that the token is not active."""
    name, secret = request.basic()
    check_client(name, secret, secrets=backend.secrets)
    return Reply(200, introspect(request.form(), sessions=backend.sessions))


prepare(reads=lambda backend: backend.secrets.api_clients())
