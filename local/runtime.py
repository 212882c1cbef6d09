"""The functions of the template, run as Lambda runs them, but in this process.

What differs: all functions share one execution environment that serves any number of requests at
once, and a function that runs past its time-out is abandoned rather than stopped.
"""

import importlib.util
import itertools
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from local.template import Application, Function, TemplateError


class FunctionError(Exception):
    """The function raised, or returned what JSON cannot hold; the cause is its exception."""


class FunctionTimeoutError(FunctionError):
    """The function did not answer within its time-out."""


class Functions(Protocol):
    """The functions of an application, run somehow."""

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by its Function.name; event and result pass through JSON.

        Raises:
            FunctionError: it raised, or returned what JSON cannot hold.
            FunctionTimeoutError: it took longer than its time-out.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """The context object of a Lambda function in Python.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    deadline: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    log_stream_name: str = "local"
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's time-out."""
        return max(0, round((self.deadline - _now()) * 1000))


# Not time.monotonic: a test that moves the clock must not use up a function's time.
_now = time.perf_counter

Handler = Callable[[Any, Context], Any]


class Runtime:
    """One execution environment with the functions of an application; a context manager.

    Entering it puts the layers on the import path, as Lambda does with /opt/python, and loads
    every handler afresh; the environment variables have to be set by then. Raises TemplateError
    if a handler that the template names is not there.
    """

    def __init__(self, application: Application) -> None:
        """Take the functions; nothing is loaded yet."""
        self._functions = application.functions
        self._handlers: dict[str, Handler] = {}
        layers = {layer for function in self._functions.values() for layer in function.layers}
        self._import_path = sorted(str(layer.resolve()) for layer in layers)
        self._packages = {
            file.parent.name for layer in layers for file in layer.glob("*/__init__.py")
        }

    def __enter__(self) -> Self:
        """Load the handlers."""
        self._forget()
        sys.path[:0] = self._import_path
        try:
            for name, function in self._functions.items():
                self._handlers[name] = _load(function)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the handlers."""
        for entry in self._import_path:
            sys.path.remove(entry)
        self._handlers.clear()
        self._forget()

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by the name of its folder; event and result pass through JSON.

        Raises:
            FunctionError: the function raised, or returned what JSON cannot hold.
            FunctionTimeoutError: it took longer than its time-out.
        """
        function, handler = self._functions[name], self._handlers[name]
        payload = json.dumps(event)
        outcome: list[Any] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                result = handler(json.loads(payload), _context(function))
                outcome.append(json.loads(json.dumps(result)))
            except BaseException as error:  # noqa: BLE001 - sys.exit in a handler is an error too
                failure.append(error)

        # In a thread of its own: one cannot stop code that does not stop, only not wait for it.
        thread = threading.Thread(target=run, name=f"function-{name}", daemon=True)
        thread.start()
        thread.join(function.timeout)
        if failure:
            raise FunctionError(f"{name} raised {type(failure[0]).__name__}") from failure[0]
        if not outcome:
            raise FunctionTimeoutError(f"{name} timed out after {function.timeout} seconds")
        return outcome[0]

    def _forget(self) -> None:
        """Empty the functools caches of the layers, as a new environment starts with none.

        What a cached factory made for the stack before (settings, clients, tokens) points to
        addresses that are gone.
        """
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in self._packages:
                for value in list(vars(module).values()):
                    if callable(clear := getattr(value, "cache_clear", None)):
                        clear()


_loaded = itertools.count(1)


def _load(function: Function) -> Handler:
    """Import the handler's module under a name of its own: six of them are called app."""
    module_name, _, attribute = function.handler.rpartition(".")
    path = function.folder / f"{module_name}.py"
    spec = importlib.util.spec_from_file_location(
        f"_local_{function.name}_{next(_loaded)}_{module_name}", path
    )
    if not path.is_file() or spec is None or spec.loader is None:
        raise TemplateError(f"{function.logical_id}: its handler's file {path} is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler | None = getattr(module, attribute, None)
    if handler is None:
        raise TemplateError(f"{function.logical_id}: {path} has no function {attribute}")
    return handler


def _context(function: Function) -> Context:
    return Context(
        function_name=function.function_name,
        invoked_function_arn=function.arn,
        memory_limit_in_mb=str(function.memory),
        log_group_name=f"/aws/lambda/{function.function_name}",
        deadline=_now() + function.timeout,
    )
