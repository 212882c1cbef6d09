"""Introspection (RFC 7662): a server of the team's asks who a session token stands for."""

from collections.abc import Mapping
from typing import Any

from wechat_auth.errors import CLIENT_INVALID, SESSION_INVALID, AuthError, invalid_field
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions


def check_client(name: str, secret: str, *, secrets: SecretStore) -> None:
    """Let only a client of this deployment ask.

    Args:
        name: The client's name.
        secret: What `make api-client` showed when it made the client.
        secrets: For the clients.

    Raises:
        AuthError: ``client_invalid``, whether name or secret is wrong; ``misconfigured``.
    """
    if not secrets.is_api_client(name, secret):
        raise AuthError(CLIENT_INVALID)


def introspect(form: Mapping[str, str], *, sessions: Sessions) -> dict[str, Any]:
    """Tell what the ``token`` of a form stands for, in the names of RFC 7662, 2.2: one read.

    ``sub`` and ``openid`` are the user, ``client_id`` is the mini-program, ``iat`` and ``exp`` are
    seconds since 1970, ``account_id`` and ``claims`` are the account function's. Whatever is wrong
    with the token, the answer says only that it is not active.

    Raises:
        AuthError: ``invalid_request`` without ``token``, ``storage_unavailable`` or an operator's
            fault.
    """
    if "token" not in form:
        raise invalid_field(
            "token", "is missing: send a form (application/x-www-form-urlencoded) with token=…"
        )
    try:
        session = sessions.find(form["token"])
    except AuthError as error:
        if error.problem is SESSION_INVALID:
            return {"active": False}
        raise
    answer = {
        "active": True,
        "token_type": "Bearer",
        "sub": session.openid,
        "client_id": session.appid,
        "exp": session.expires_at,
        "iat": session.issued_at,
        "openid": session.openid,
        "unionid": session.unionid,
        "account_id": session.account_id,
        "claims": session.claims,
    }
    return {name: value for name, value in answer.items() if value is not None}
