"""`python -m infra.release ENV`: what `make deploy` deploys, made from what `make build` built.

Requests go to the alias `live`, and that to a published version. CloudFormation publishes a new
one only if its logical id changes, for which SAM looks at a function's own code: a new layer or
a changed parameter would reach nobody. So each function gets `AutoPublishCodeSha256`, a hash of
all that makes it what it is.

The release is beside the built template, with the values of its parameters: those that
samconfig.toml has for the environment, and the template's defaults for the others. It accepts no
other values, because a parameter changed in the CloudFormation console would reach nobody either.

Runs in SAM CLI's own Python. Sources: AWS SAM specification (AWS::Serverless::Function,
AutoPublishAlias); AWS SAM CLI configuration file (samconfig.toml).
"""

import copy
import hashlib
import json
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.cloudformation import read_document

BUILT: Final = Path(".aws-sam/build/template.yaml")
RELEASE: Final = BUILT.with_name("release.yaml")
PARAMETERS: Final = BUILT.with_name("parameters.yaml")
SAMCONFIG: Final = Path("samconfig.toml")


class ReleaseError(Exception):
    """What is to be deployed is not whole; the message says what is missing and where."""


def deploy_settings(samconfig: Mapping[str, Any], environment: str) -> Mapping[str, Any]:
    """Return what samconfig.toml sets for `sam deploy` in an environment.

    Raises:
        ReleaseError: There is no such environment.
    """
    try:
        return _mapping(samconfig[environment]["deploy"]["parameters"])
    except KeyError:
        known = ", ".join(name for name in samconfig if "deploy" in _mapping(samconfig[name]))
        raise ReleaseError(
            f"samconfig.toml has no [{environment}.deploy.parameters]: ENV is one of {known}"
        ) from None


def overrides(samconfig: Mapping[str, Any], environment: str) -> dict[str, str]:
    """Return the parameters that samconfig.toml sets for an environment.

    Raises:
        ReleaseError: There is no such environment.
    """
    given = deploy_settings(samconfig, environment).get("parameter_overrides", [])
    words = shlex.split(given) if isinstance(given, str) else given
    return {name: value for name, _, value in (str(word).partition("=") for word in words)}


def values(document: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return a value for each parameter of the template.

    Raises:
        ReleaseError: A parameter has neither value nor default, or is not in the template.
    """
    declared: dict[str, Any] = {
        name: parameter for name, parameter in document["Parameters"].items() if name != _HASH
    }
    if unknown := sorted(given.keys() - declared.keys()):
        raise ReleaseError(f"the template has no parameter {', '.join(unknown)}")
    defaults = {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}
    if missing := sorted(declared.keys() - defaults.keys() - given.keys()):
        raise ReleaseError(f"samconfig.toml has no value for {', '.join(missing)}")
    return {name: given.get(name, defaults.get(name, "")) for name in declared}


def check_stack_name(document: Mapping[str, Any], stack: str) -> None:
    """Refuse a stack's name with which the name of a function would be too long for Lambda.

    Raises:
        ReleaseError: It is too long; CloudFormation would notice only halfway through.
    """
    names = [
        resource["Properties"]["FunctionName"]["Fn::Sub"]
        for resource in document["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    most = _LONGEST_NAME - max(len(name.replace("${AWS::StackName}", "")) for name in names)
    if len(stack) > most:
        raise ReleaseError(
            f"stack_name in samconfig.toml has {len(stack)} characters and may have {most}: the "
            "names of the functions begin with it"
        )


def release(document: dict[str, Any], folder: Path, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return the template with the hash of each function, for these values and no others.

    Args:
        document: A template whose code is in folders.
        folder: What its paths are relative to.
        chosen: A value for each parameter.
    """
    template = copy.deepcopy(document)
    resources = template["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["AutoPublishCodeSha256"] = _hash(
                template, resource["Properties"], folder, chosen
            )
    del template["Parameters"][_HASH]
    del template["Rules"][_RULE]
    for name, parameter in template["Parameters"].items():
        parameter.update(Default=chosen[name], AllowedValues=[chosen[name]])
    return template


def main() -> None:
    """Write the release of the environment that the command line names."""
    environment = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        document = read_document(BUILT)
        samconfig = tomllib.loads(SAMCONFIG.read_text("utf-8"))
        given = overrides(samconfig, environment)
        check_stack_name(document, deploy_settings(samconfig, environment)["stack_name"])
        chosen = values(document, given)
    except ReleaseError as error:
        sys.exit(str(error))
    # JSON, which is YAML too.
    RELEASE.write_text(json.dumps(release(document, BUILT.parent, chosen), indent=1), "utf-8")
    PARAMETERS.write_text(json.dumps(chosen, indent=1), "utf-8")


_HASH = "CodeSha256"
_LONGEST_NAME = 64  # of a Lambda function (AWS Lambda API, CreateFunction)
_RULE = "DeployedByMake"


def _hash(
    template: Mapping[str, Any],
    properties: Mapping[str, Any],
    folder: Path,
    chosen: Mapping[str, str],
) -> str:
    shared = template["Globals"]["Function"]
    layers = [
        template["Resources"][layer["Ref"]]["Properties"]["ContentUri"]
        for layer in [*shared.get("Layers", []), *properties.get("Layers", [])]
    ]
    identity = {
        "code": [_hash_of_folder(folder / path) for path in (properties["CodeUri"], *layers)],
        "properties": [shared, properties, template.get("Conditions", {})],
        "parameters": dict(chosen),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _hash_of_folder(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise ReleaseError(f"{folder} is empty: run make build")
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


if __name__ == "__main__":
    main()
