"""Works off the queue of what WeChat said about users: consent withdrawn, account closed."""

from wechat_auth.backend import Backend
from wechat_auth.http import Event, queued
from wechat_auth.user_events import UserEvent, act_on


@queued
def handler(message: Event, backend: Backend) -> None:
    """Do what the event asks for; if that fails, the queue brings it again."""
    act_on(
        UserEvent.from_document(message),
        sessions=backend.sessions,
        phone_records=backend.phone_records,
        account_function=backend.account_function,
    )
