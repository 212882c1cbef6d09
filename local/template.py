"""What template.yaml says, for the stack on one machine.

The SAM template is the only list of routes, functions, environment variables, tables and secrets.
This module resolves as much of CloudFormation as the template uses and refuses the rest by name.

Sources: the AWS SAM specification (Globals, Function, HttpApi, LayerVersion) and the
CloudFormation intrinsic function reference.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.cloudformation import read_document

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
DEFAULT = "$default"


class TemplateError(Exception):
    """The template is not as this module can read it; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function.

    Attributes:
        logical_id: Its key under Resources.
        name: The name of its folder, such as "login".
        function_name: The name it is deployed under.
        folder: Where its code is.
        handler: Module and function inside the folder, such as "app.handler".
        timeout: Seconds.
        memory: MB.
        environment: Its environment variables.
        layers: The folders of its layers, in order.
    """

    logical_id: str
    name: str
    function_name: str
    folder: Path
    handler: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    layers: tuple[Path, ...]

    @property
    def arn(self) -> str:
        """The ARN it would be deployed under."""
        return _function_arn(self.function_name)


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the HTTP API: `function` is a Function.name, `authorizer` an Authorizer.name.

    The route of what no other takes has no method, and the path `DEFAULT`.
    """

    method: str
    path: str
    function: str
    authorizer: str | None

    @property
    def key(self) -> str:
        """The route key as API Gateway writes it, such as "POST /login"."""
        return f"{self.method} {self.path}".strip()

    def values(self, path: str) -> dict[str, str] | None:
        """Return what a path holds in place of this route's ``{names}``; None if it is another."""
        parts, found = self.path.split("/"), path.split("/")
        values = {
            part[1:-1]: value
            for part, value in zip(parts, found, strict=False)
            if part.startswith("{") and value
        }
        fits = [part if part[:1] != "{" else values.get(part[1:-1]) for part in parts] == found
        return values if fits else None


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer: `function` is a Function.name, `headers` its identity sources."""

    name: str
    function: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A key attribute of a table: `type` is S, N or B, `role` HASH or RANGE."""

    attribute: str
    type: Literal["S", "N", "B"]
    role: Literal["HASH", "RANGE"]


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table; `ttl` names the attribute that holds the time of expiry, if any."""

    logical_id: str
    name: str
    keys: tuple[Key, ...]
    ttl: str | None


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """How Secrets Manager makes a value: `length` random characters as `key` of a JSON object."""

    template: str
    key: str
    length: int
    exclude_punctuation: bool


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret; without `value` and `generated` it is created empty."""

    logical_id: str
    name: str
    generated: GeneratedSecret | None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue: `function` is the Function.name of what works it off, if anything does."""

    name: str
    function: str | None

    @property
    def url(self) -> str:
        """What a Ref to it is."""
        return _queue_url(self.name)


@dataclass(frozen=True, slots=True)
class Application:
    """The template, resolved for one set of parameters. Functions are keyed by Function.name."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    authorizers: Mapping[str, Authorizer]
    tables: tuple[Table, ...]
    secrets: tuple[Secret, ...]
    queues: tuple[Queue, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of all functions in one.

        Raises:
            TemplateError: Two functions disagree about one, so one process cannot hold both.
        """
        merged: dict[str, str] = {}
        for function in self.functions.values():
            for name, value in function.environment.items():
                if merged.setdefault(name, value) != value:
                    raise TemplateError(
                        f"environment variable {name} differs between functions "
                        f"({function.logical_id} has another value): one process has only one"
                    )
        return merged


def read_template(
    path: Path, parameters: Mapping[str, str] | None = None, *, stack_name: str = "local"
) -> Application:
    """Read and resolve a SAM template.

    Args:
        path: The template; folders in it are relative to its own.
        parameters: Values instead of the parameters' defaults. They are taken as they are:
            AllowedPattern and its like guard a deployment, not a simulation.
        stack_name: What AWS::StackName stands for.

    Raises:
        TemplateError: A parameter without value, or something that is not simulated.
    """
    document = read_document(path)
    return _Resolver(document, path.parent, dict(parameters or {}), stack_name).application()


_NO_VALUE = object()


class _Resolver:
    """One template with its parameters: knows what a Ref stands for."""

    def __init__(
        self, document: dict[str, Any], folder: Path, parameters: dict[str, str], stack_name: str
    ) -> None:
        self.folder = folder
        self.stack_name = stack_name
        self.globals: dict[str, Any] = document.get("Globals", {})
        self.conditions: dict[str, Any] = document.get("Conditions", {})
        self.references: dict[str, Any] = {
            "AWS::StackName": stack_name,
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _NO_VALUE,
        }
        declared: dict[str, Any] = document.get("Parameters", {})
        if unknown := sorted(parameters.keys() - declared.keys()):
            raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
        for name, parameter in declared.items():
            if name not in parameters and "Default" not in parameter:
                raise TemplateError(f"parameter {name} has no default: give it a value")
            self.references[name] = parameters.get(name, parameter.get("Default"))
        self.resources: dict[str, Any] = {
            logical_id: resource
            for logical_id, resource in document["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    # ------------------------------------------------------------------ what is in the template

    def application(self) -> Application:
        functions = [self.function(logical_id) for logical_id in self.of_type("Function")]
        by_arn = {function.arn: function for function in functions}
        authorizers: dict[str, Authorizer] = {}
        for api in self.of_type("HttpApi"):
            auth = self.properties(api).get("Auth", {})
            if "DefaultAuthorizer" in auth:
                raise TemplateError(f"{api}: DefaultAuthorizer is not simulated")
            for name, properties in auth.get("Authorizers", {}).items():
                authorizers[name] = _authorizer(name, properties, by_arn)
        routes = []
        workers: dict[str, str] = {}
        for function in functions:
            for event in self.properties(function.logical_id).get("Events", {}).values():
                match event["Type"]:
                    case "HttpApi":
                        routes.append(_route(function, event["Properties"], authorizers))
                    case "SQS":
                        workers[event["Properties"]["Queue"]] = function.name
                    case "ScheduleV2":
                        pass  # here whoever wants it invokes the function
                    case other:
                        raise TemplateError(
                            f"{function.logical_id}: events of type {other} are not simulated"
                        )
        return Application(
            functions={function.name: function for function in functions},
            routes=tuple(routes),
            authorizers=authorizers,
            tables=tuple(self.table(logical_id) for logical_id in self.of_type("Table")),
            secrets=tuple(self.secret(logical_id) for logical_id in self.of_type("Secret")),
            queues=tuple(
                Queue(
                    self.physical_name(logical_id, "QueueName"),
                    workers.get(self.attribute([logical_id, "Arn"], logical_id)),
                )
                for logical_id in self.of_type("Queue")
            ),
        )

    def of_type(self, name: str) -> Iterator[str]:
        types = {f"AWS::{service}::{name}" for service in _SERVICES}
        return (key for key, resource in self.resources.items() if resource["Type"] in types)

    def properties(self, logical_id: str) -> dict[str, Any]:
        resource = self.resources[logical_id]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties = _merge(self.globals.get("Function", {}), properties)
            properties = {k: v for k, v in properties.items() if k not in _ONLY_DEPLOYED}
        resolved: dict[str, Any] = self.resolve(properties, f"Resources.{logical_id}")
        return resolved

    def function(self, logical_id: str) -> Function:
        properties = self.properties(logical_id)
        folder = self.folder / properties["CodeUri"]
        return Function(
            logical_id=logical_id,
            name=folder.name,
            function_name=self.physical_name(logical_id, "FunctionName"),
            folder=folder,
            handler=properties["Handler"],
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            environment={
                name: str(value)
                for name, value in properties.get("Environment", {}).get("Variables", {}).items()
            },
            layers=tuple(
                self.folder / self.properties(layer)["ContentUri"]
                for layer in properties.get("Layers", [])
            ),
        )

    def table(self, logical_id: str) -> Table:
        properties = self.properties(logical_id)
        types = {
            attribute["AttributeName"]: attribute["AttributeType"]
            for attribute in properties["AttributeDefinitions"]
        }
        return Table(
            logical_id=logical_id,
            name=self.physical_name(logical_id, "TableName"),
            keys=tuple(
                Key(key["AttributeName"], types[key["AttributeName"]], key["KeyType"])
                for key in properties["KeySchema"]
            ),
            ttl=properties.get("TimeToLiveSpecification", {}).get("AttributeName"),
        )

    def secret(self, logical_id: str) -> Secret:
        properties = self.properties(logical_id)
        generate = properties.get("GenerateSecretString")
        return Secret(
            logical_id=logical_id,
            name=self.physical_name(logical_id, "Name"),
            generated=generate
            and GeneratedSecret(
                template=generate["SecretStringTemplate"],
                key=generate["GenerateStringKey"],
                length=int(generate.get("PasswordLength", 32)),
                exclude_punctuation=bool(generate.get("ExcludePunctuation", False)),
            ),
            value=properties.get("SecretString"),
        )

    def physical_name(self, logical_id: str, naming_property: str) -> str:
        """The name the template gives, or the logical id, which is what sam local takes too."""
        given = self.resources[logical_id].get("Properties", {}).get(naming_property)
        if given is None:
            return logical_id
        return str(self.resolve(given, f"Resources.{logical_id}.{naming_property}"))

    # ------------------------------------------------------------------------------ intrinsics

    def resolve(self, value: Any, where: str) -> Any:
        match value:
            case dict() if len(value) == 1 and (intrinsic := next(iter(value))) in _INTRINSICS:
                return _INTRINSICS[intrinsic](self, value[intrinsic], where)
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                raise TemplateError(f"{where}: {next(iter(value))} is not simulated")
            case dict():
                resolved = {
                    key: self.resolve(item, f"{where}.{key}") for key, item in value.items()
                }
                return {key: item for key, item in resolved.items() if item is not _NO_VALUE}
            case list():
                return [
                    resolved
                    for item in value
                    if (resolved := self.resolve(item, where)) is not _NO_VALUE
                ]
        return value

    def condition(self, name: str) -> bool:
        if name not in self.conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.resolve(self.conditions[name], f"Conditions.{name}"))

    def reference(self, name: str, where: str) -> Any:
        if name in self.references:
            return self.references[name]
        if name not in self.resources:
            raise TemplateError(f"{where}: there is no parameter or resource {name}")
        kind: str = self.resources[name]["Type"]
        # A layer's Ref is an ARN; what counts here is which layer it is.
        naming_property = _NAMING.get(kind)
        if kind == "AWS::SQS::Queue":
            return _queue_url(self.physical_name(name, "QueueName"))
        return self.physical_name(name, naming_property) if naming_property else name

    def substitute(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise TemplateError(f"{where}: Fn::Sub with values of its own is not simulated")

        def replacement(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if "." in name:
                return self.attribute(name.split(".", 1), where)
            return str(self.reference(name, where))

        return re.sub(r"\$\{([^}]+)\}", replacement, value)

    def attribute(self, value: Any, where: str) -> str:
        logical_id, attribute = value
        resource = self.resources.get(logical_id, {"Type": "nothing"})
        if attribute == "Arn" and resource["Type"] == "AWS::Serverless::Function":
            return _function_arn(self.physical_name(logical_id, "FunctionName"))
        if attribute == "Arn" and logical_id in self.resources:
            kind = resource["Type"].replace("::", "-").lower()
            return f"arn:aws:{kind}:{REGION}:{ACCOUNT_ID}:{self.stack_name}-{logical_id}"
        raise TemplateError(f"{where}: GetAtt {logical_id}.{attribute} is not simulated")

    def choose(self, value: Any, where: str) -> Any:
        name, then, otherwise = value
        return self.resolve(then if self.condition(name) else otherwise, where)

    def equals(self, value: Any, where: str) -> bool:
        left, right = self.resolve(value, where)
        return str(left) == str(right)


# What says how a function is brought to AWS, not what it is.
_ONLY_DEPLOYED = frozenset({"SnapStart", "VpcConfig"})

_SERVICES = ("Serverless", "DynamoDB", "SecretsManager", "SQS")

_NAMING = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SecretsManager::Secret": "Name",
}

_INTRINSICS: dict[str, Callable[[_Resolver, Any, str], Any]] = {
    "Ref": _Resolver.reference,
    "Condition": lambda resolver, value, _: resolver.condition(value),
    "Fn::Sub": _Resolver.substitute,
    "Fn::GetAtt": _Resolver.attribute,
    "Fn::If": _Resolver.choose,
    "Fn::Equals": _Resolver.equals,
    "Fn::Not": lambda resolver, value, where: not resolver.resolve(value[0], where),
    "Fn::And": lambda resolver, value, where: all(resolver.resolve(value, where)),
}


def _function_arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"


def _queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{name}"


def _merge(base: Any, over: Any) -> Any:
    """SAM's rule for Globals: mappings merge, lists add up, anything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        if any(key == "Ref" or key.startswith("Fn::") for key in (*base, *over)):
            return over
        return base | {
            key: _merge(base[key], over[key]) if key in base else over[key] for key in over
        }
    if isinstance(base, list) and isinstance(over, list):
        return base + over
    return over


def _route(
    function: Function,
    properties: dict[str, Any],
    authorizers: dict[str, Authorizer],
) -> Route:
    method, path = properties.get("Method", "").upper(), properties.get("Path", DEFAULT)
    if method in {"ANY", "*"} or "+}" in path:
        raise TemplateError(f"{function.logical_id}: route {method} {path} is not simulated")
    authorizer = properties.get("Auth", {}).get("Authorizer")
    if authorizer is not None and authorizer not in authorizers:
        raise TemplateError(f"{function.logical_id}: there is no authorizer {authorizer}")
    return Route(method, path, function.name, authorizer)


def _authorizer(name: str, properties: dict[str, Any], by_arn: dict[str, Function]) -> Authorizer:
    if properties["AuthorizerPayloadFormatVersion"] != "2.0" or not properties.get(
        "EnableSimpleResponses"
    ):
        raise TemplateError(
            f"authorizer {name}: only payload 2.0 with simple responses is simulated"
        )
    function = by_arn.get(properties["FunctionArn"])
    if function is None:
        raise TemplateError(f"authorizer {name}: its FunctionArn is none of this template")
    headers = properties.get("Identity", {}).get("Headers", [])
    return Authorizer(name, function.name, tuple(header.lower() for header in headers))
