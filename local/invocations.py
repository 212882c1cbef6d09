"""Lambda's Invoke call for functions in this process, which the embedded AWS has only in Docker.

Source: AWS Lambda API Reference, Invoke.
"""

import importlib.util
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Handler = Callable[[Any, Any], Any]
"""Takes an event and a context."""

ACCOUNT_FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:account"
"""Where the account function of a stack on this machine is."""
SAMPLE = Path(__file__).with_name("account_function.py")
"""An account function to begin with."""
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class NoHandlerError(Exception):
    """A file has no function `handler`; the message says which."""


@dataclass(slots=True)
class Invocations:
    """Answers Invoke, and passes on what is asked of other services.

    Attributes:
        functions: What can be called, by ARN.
        failing: So many of the next calls fail, as if the function had raised.
        events: What the functions were called with.
    """

    functions: dict[str, Handler] = field(default_factory=dict)
    failing: int = 0
    events: list[Any] = field(default_factory=list)

    def forget(self) -> None:
        """Be as new: nothing can be called."""
        self.functions.clear()
        self.events.clear()
        self.failing = 0

    def before(self, aws: "WSGIApplication") -> "WSGIApplication":
        """Return an application that answers Invoke, and lets `aws` answer the rest (PEP 3333)."""

        def application(
            environ: "WSGIEnvironment", start_response: "StartResponse"
        ) -> Iterable[bytes]:
            request = Request(environ)
            asked = _INVOKE.fullmatch(request.path)
            if not asked:
                return aws(environ, start_response)
            return self.invoke(asked[1], request.get_data())(environ, start_response)

        return application

    def invoke(self, arn: str, payload: bytes) -> Response:
        """Call a function as Lambda would, and return what Invoke answers."""
        if arn not in self.functions:
            return _json({"Message": f"Function not found: {arn}"}, 404, error="ResourceNotFound")
        event = json.loads(payload)
        self.events.append(event)
        if self.failing:
            self.failing -= 1
            return _unhandled(RuntimeError("made to fail"))
        try:
            return _json(self.functions[arn](event, None))
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda reports it
            return _unhandled(error)


def handler_of(path: Path) -> Handler:
    """Return the function `handler` of a Python file.

    Raises:
        NoHandlerError: There is no such file, or no such function in it.
    """
    spec = importlib.util.spec_from_file_location(f"_account_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise NoHandlerError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler | None = getattr(module, "handler", None)
    if handler is None:
        raise NoHandlerError(f"{path} has no function handler(event, context)")
    return handler


def _unhandled(error: Exception) -> Response:
    response = _json({"errorMessage": str(error), "errorType": type(error).__name__})
    response.headers["X-Amz-Function-Error"] = "Unhandled"
    return response


def _json(document: object, status: int = 200, *, error: str = "") -> Response:
    response = Response(json.dumps(document), status, content_type="application/json")
    if error:
        response.headers["x-amzn-ErrorType"] = f"{error}Exception"
    return response
