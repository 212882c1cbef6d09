"""Lambda authorizer for the team's own HTTP APIs: payload format 2.0, simple response."""

from typing import Any

from wechat_auth import invocation, services
from wechat_auth.aws import AwsError, explain
from wechat_auth.errors import SESSION_INVALID, AuthError
from wechat_auth.http import Event, bearer_token


def handler(event: Event, context: invocation.LambdaContext) -> dict[str, Any]:
    """Let a request with a living session through, with ``openid``, ``unionid`` and ``appid``.

    What is not about the token (a table that cannot be read) is raised, so that API Gateway
    answers 500 and not "forbidden".
    """
    with invocation.serving(context, event.get("requestContext", {}).get("requestId")):
        try:
            token = bearer_token((event.get("headers") or {}).get("authorization", ""))
            session = services.sessions().find(token)
        except (AuthError, *AwsError) as error:
            fault = explain(error)
            if fault.problem is SESSION_INVALID:
                return {"isAuthorized": False}
            invocation.log_fault(fault)
            raise fault from None
        return {
            "isAuthorized": True,
            "context": {
                "openid": session.openid,
                "unionid": session.unionid or "",
                "appid": session.appid,
            },
        }


services.prepare()
