"""Scheduled every minute: renews access_tokens in their last minutes, so that no user waits."""

from wechat_auth import invocation, services
from wechat_auth.aws import AwsError, explain
from wechat_auth.errors import AuthError
from wechat_auth.http import Event


def handler(event: Event, context: invocation.LambdaContext) -> dict[str, str]:  # noqa: ARG001
    """Answer for each appid ``renewed``, ``fresh``, or the code of the error it met."""
    outcome = {}
    with invocation.serving(context):
        for appid in services.settings().appids:
            try:
                renewed = services.access_tokens().renew(appid)
                outcome[appid] = "renewed" if renewed else "fresh"
            except (AuthError, *AwsError) as error:
                fault = explain(error)
                invocation.log_fault(fault)
                outcome[appid] = fault.problem.code
        invocation.logger.info("access_tokens", extra={"outcome": outcome})
    return outcome
