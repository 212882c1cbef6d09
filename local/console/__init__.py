"""The developer's console: the stack of `make run` in a browser, on this machine only.

It shows the demo mini-program on a phone, and beside it every message that really passed. Nothing
of it is deployed, and to the API it changes nothing: what is not its own goes through untouched.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local import APPID, COMPONENT
from local.console.acts import Acts
from local.console.feed import Feed
from local.console.front import Front
from local.console.recorder import WatchedWeChat, recorded
from local.gateway import Served
from local.simulated_wechat import App
from local.stack import RealApp, Stack


@contextmanager
def start(
    port: int = 0,
    on_request: Callable[[Served], None] | None = None,
    feed: Feed | None = None,
    parameters: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    aws_host: str = "127.0.0.1",
    real: RealApp | None = None,
) -> Iterator[Stack]:
    """Run a stack whose API answers a browser on this machine at / with the console.

    Args:
        port: As in Stack.start.
        on_request: As in Stack.start; the console's own requests are none of the API's.
        feed: Where the messages go, if somebody else wants to see them too.
        parameters: As in Stack.start.
        host: As in Stack.start; the console answers loopback alone.
        aws_host: As in Stack.start.
        real: A mini-program to serve with the real WeChat: the page then only watches.

    Raises:
        PortTakenError: As Stack.start.
    """
    feed = feed or Feed()
    wechat = None if real else WatchedWeChat([App(APPID, secrets.token_hex(16), cloud=True)], feed)

    if wechat:
        wechat.set_up_platform(COMPONENT)

    def invoke(name: str, event: object) -> Any:
        return stack.invoke(name, event)

    def work_off() -> int:
        return stack.queues.work_off()

    acts = Acts(wechat, feed, invoke, lambda: stack.environment, work_off) if wechat else None

    with Stack.start(
        port=port,
        host=host,
        aws_host=aws_host,
        parameters=parameters,
        wechat=real or wechat,
        on_request=on_request,
        functions=lambda application, environment: recorded(application, environment, wechat, feed),
        front=lambda api: Front(api, feed, acts),
    ) as stack:
        try:
            yield stack
        finally:
            feed.close()
