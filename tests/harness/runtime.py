"""The functions under test: what they raise is noted, and a test can put itself before them."""

from collections.abc import Callable
from functools import cache
from typing import Any

from local.runtime import Context, Environment, Handler, Runtime
from local.template import Application
from tests.harness.leaks import noting
from wechat_auth import http

Serve = Callable[[Any, Context], Any]
Wrapper = Callable[[str, Serve], Serve]
"""Takes a function's name and its handler, and returns what serves in its place."""


class TestedRuntime(Runtime):
    """The functions in this process.

    Attributes:
        wrapper: What the test puts before every function, if anything.
    """

    __test__ = False  # it is no test

    def __init__(self, application: Application, environment: Environment) -> None:
        super().__init__(application, self._serve)
        self.wrapper: Wrapper | None = None
        self._environment = environment
        self._names = {each.function_name: name for name, each in application.functions.items()}

    def _serve(self, handler: Handler, event: Any, context: Context) -> Any:
        name = self._names[context.function_name]
        noted = _noted(handler, name)

        def serve(event: Any, context: Context) -> Any:
            return self._environment.call(noted, event, context)

        return (self.wrapper(name, serve) if self.wrapper else serve)(event, context)


@cache
def _noted(handler: Handler, name: str) -> Handler:
    """Note what a handler raises before its shell turns it into an answer."""
    shells = {
        "authorizer": http.authorizer,
        "access_token": http.invoked,
        "end_sessions": http.invoked,
        "refresh_access_token": http.scheduled,
        "wechat_push": http.push,
        "user_events": http.queued,
        "merchants": http.invoked,
        "platform_events": http.queued,
    }
    shell: Any = shells.get(name, http.endpoint)
    handle: Any = handler
    noted: Handler = shell(noting(handle.__wrapped__))
    return noted
