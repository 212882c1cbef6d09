"""What makes the files of events/ work as they are: a user whose codes always work, and sessions.

Only a stack on this machine has them: an AppSecret's WeChat knows no such code, and no other table
holds such a session.
"""

import json
from typing import Final

from local.simulated_wechat.sample import OPENID, SESSION_KEY
from local.stack import Stack, app_secrets
from wechat_auth.sessions import Session, place_of

TOKEN: Final = "sample-session-tokenAPSGVwAA-of-the-local-stack-and-of-no-other-placeA"  # noqa: S105
"""Of the sample user's session. Its issue lies in 2100, so that it has not expired before."""
TOKEN_TO_END: Final = "sample-token-to-end-APSGVwAA-of-the-local-stack-and-of-no-other-placeA"  # noqa: S105
"""Of another, which events/session-logout.json ends."""
_END: Final = 4102444800


def add_to(stack: Stack) -> None:
    """Give a stack with a simulated WeChat the sample user and the two sessions."""
    stack.wechat.add_sample()
    stack.environment.aws.secrets_manager.put_secret_value(
        SecretId=stack.environment.backend().settings.app_secrets_id,
        SecretString=json.dumps(app_secrets(stack.wechat)),  # with the sample's Token
    )
    stack.environment.restart()  # one that runs would read them within a minute
    for token in (TOKEN, TOKEN_TO_END):
        user, sort_key = place_of(token)
        session = Session(user, sort_key, stack.appid, OPENID, None, SESSION_KEY, _END)
        stack.environment.backend().sessions.keep(session)
