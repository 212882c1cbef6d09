"""The functions of the template, run as Lambda runs them, but in this process.

What differs: all functions share one execution environment that serves any number of requests at
once, and a function that runs past its time-out is abandoned rather than stopped.
"""

import importlib.util
import inspect
import itertools
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import TextIOBase
from logging import StreamHandler
from typing import IO, Any, Protocol, Self

from local.template import Application, Function, TemplateError
from wechat_auth.backend import Backend
from wechat_auth.invocation import logger
from wechat_auth.settings import Settings
from wechat_auth.storage import Aws


class FunctionError(Exception):
    """The function raised, or returned what JSON cannot hold; the cause is its exception."""


class FunctionTimeoutError(FunctionError):
    """The function did not answer within its time-out."""


class Functions(Protocol):
    """The functions of an application, run somehow."""

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by its Function.name; event and result pass through JSON.

        Raises:
            FunctionError: It raised, or returned what JSON cannot hold.
            FunctionTimeoutError: It took longer than its time-out.
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

Handler = Callable[..., Any]
Call = Callable[[Handler, Any, Context], Any]
"""Calls a handler with event and context, and whatever else it takes."""


class Environment:
    """What all functions of a stack find in memory: a backend, until the next restart.

    Args:
        variables: The environment variables of the functions.
        aws: AWS's clients; they outlive a restart, since they remember nothing.
        parts: More arguments of each `Backend`.
    """

    def __init__(self, variables: Mapping[str, str], aws: Aws, **parts: Any) -> None:
        self.aws = aws
        self._base = dict(variables), parts
        self._lock = threading.Lock()
        self.restart()

    def keep(self, **parts: Any) -> None:
        """Give every backend from now on these parts."""
        self._base[1].update(parts)
        self.restart()

    def restart(self, variables: Mapping[str, str] | None = None, **parts: Any) -> None:
        """Let the next request meet a new environment.

        Args:
            variables: Environment variables that differ from the first ones.
            parts: Arguments of `Backend` that differ from the first ones.
        """
        with self._lock:
            self._variables = {**self._base[0], **(variables or {})}
            self._parts = {**self._base[1], **parts}
            self._backend: Backend | None = None

    def backend(self) -> Backend:
        """Return the backend.

        Raises:
            AuthError: ``misconfigured``, if a variable has a wrong value.
        """
        with self._lock:
            if self._backend is None:
                settings = Settings.from_env(self._variables)
                self._backend = Backend(settings, **{"aws": self.aws, **self._parts})
            return self._backend

    def call(self, handler: Handler, event: Any, context: Context) -> Any:
        """Call a handler in this environment; one of ours is told its backend."""
        takes = inspect.signature(handler, follow_wrapped=False).parameters
        ours = (self.backend,) if "make_backend" in takes else ()
        return handler(event, context, *ours)


class Runtime:
    """One execution environment with the functions of an application; a context manager.

    Entering it puts the layers on the import path, as Lambda does with /opt/python, and loads
    every handler afresh. Raises TemplateError if a handler that the template names is not there.

    Args:
        application: Has the functions.
        call: Calls a handler.
    """

    def __init__(
        self,
        application: Application,
        call: Call = lambda handler, event, context: handler(event, context),
    ) -> None:
        self._functions = application.functions
        self._call = call
        self.handlers: dict[str, Handler] = {}
        layers = {layer for function in self._functions.values() for layer in function.layers}
        self._import_path = sorted(str(layer.resolve()) for layer in layers)

    def __enter__(self) -> Self:
        """Load the handlers."""
        sys.path[:0] = self._import_path
        try:
            for name, function in self._functions.items():
                self.handlers[name] = _load(function)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the handlers."""
        for entry in self._import_path:
            sys.path.remove(entry)
        self.handlers.clear()

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by the name of its folder; event and result pass through JSON.

        Raises:
            FunctionError: The function raised, or returned what JSON cannot hold.
            FunctionTimeoutError: It took longer than its time-out.
        """
        function, handler = self._functions[name], self.handlers[name]
        payload = json.dumps(event)
        outcome: list[Any] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                result = self._call(handler, json.loads(payload), context_of(function))
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


@contextmanager
def functions_write_to(stream: IO[str] | TextIOBase) -> Iterator[None]:
    """Send what the functions in this process print and log to a stream."""
    handler = logger.registered_handler
    assert isinstance(handler, StreamHandler)  # noqa: S101 - Powertools' own
    before = handler.setStream(stream)
    try:
        with redirect_stdout(stream):
            yield
    finally:
        handler.setStream(before)


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


def context_of(function: Function) -> Context:
    """Return the context of an invocation that begins now."""
    return Context(
        function_name=function.function_name,
        invoked_function_arn=function.arn,
        memory_limit_in_mb=str(function.memory),
        log_group_name=f"/aws/lambda/{function.function_name}",
        deadline=_now() + function.timeout,
    )
