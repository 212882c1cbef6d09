"""`python -m infra.release ENV`: what `make deploy` deploys, made from what `make build` built.

That is the built template as it is, unless a canary deployment or SnapStart is asked for. Those
need published versions: requests then go to the alias `live`, and that to a version. CloudFormation
publishes a new one only if its logical id changes, for which SAM looks at a function's own code: a
new layer or a changed parameter would reach nobody. So each function gets `AutoPublishCodeSha256`,
a hash of all that makes it what it is. (SAM's AutoPublishAliasAllProperties would see a new layer,
but no changed parameter.) The release accepts no other values of its parameters than those it was
made with: one changed in the CloudFormation console would reach nobody either.

Beside the release are the values of its parameters: those that samconfig.toml (or
samconfig.local.toml, if there is one) has for the environment, and the template's defaults.

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
OWN_SAMCONFIG: Final = Path("samconfig.local.toml")
"""Read instead, if it is there: no update of the project touches it."""
_READ: Final = f"{SAMCONFIG} ({OWN_SAMCONFIG}, if there is one)"


class ReleaseError(Exception):
    """What is to be deployed is not whole; the message says what is missing and where."""


def read_samconfig(folder: Path = Path()) -> dict[str, Any]:
    """Read the settings of SAM CLI in a folder: the team's own, if there are any."""
    own = folder / OWN_SAMCONFIG
    return tomllib.loads((own if own.is_file() else folder / SAMCONFIG).read_text("utf-8"))


def deploy_settings(samconfig: Mapping[str, Any], environment: str) -> Mapping[str, Any]:
    """Return what samconfig.toml sets for `sam deploy` in an environment.

    Raises:
        ReleaseError: There is no such environment.
    """
    try:
        every = _mapping(_mapping(samconfig[environment].get("global")).get("parameters"))
        return {**every, **samconfig[environment]["deploy"]["parameters"]}
    except KeyError:
        known = ", ".join(name for name in samconfig if "deploy" in _mapping(samconfig[name]))
        raise ReleaseError(
            f"{_READ} has no [{environment}.deploy.parameters]: ENV is one of {known}"
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
    declared: dict[str, Any] = document["Parameters"]
    if unknown := sorted(given.keys() - declared.keys()):
        raise ReleaseError(f"the template has no parameter {', '.join(unknown)}")
    defaults = {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}
    if missing := sorted(declared.keys() - defaults.keys() - given.keys()):
        raise ReleaseError(f"{_READ} has no value for {', '.join(missing)}")
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
            f"the stack_name has {len(stack)} characters and may have {most}: the names of the "
            "functions begin with it"
        )


def release(document: dict[str, Any], folder: Path, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return the template, with alias and published versions if these values ask for them.

    Args:
        document: A template whose code is in folders.
        folder: What its paths are relative to.
        chosen: A value for each parameter.
    """
    if "true" not in (chosen["SnapStart"], chosen["CanaryDeployment"]):
        return document
    del (template := copy.deepcopy(document))["Rules"][_RULE]
    template["Globals"]["Function"] |= _PUBLISHED
    functions = [
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for name in functions:
        properties = template["Resources"][name]["Properties"]
        properties["AutoPublishCodeSha256"] = _hash(template, properties, folder, chosen)
    for name, parameter in template["Parameters"].items():
        parameter.update(Default=chosen[name], AllowedValues=[chosen[name]])
    aliases = {name: {"Ref": f"{name}.Alias"} for name in functions}
    published: dict[str, Any] = _with_aliases(template, aliases)
    return published


def main() -> None:
    """Write the release of the environment that the command line names."""
    environment = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        document = read_document(BUILT)
        samconfig = read_samconfig()
        given = overrides(samconfig, environment)
        check_stack_name(document, deploy_settings(samconfig, environment)["stack_name"])
        chosen = values(document, given)
    except ReleaseError as error:
        sys.exit(str(error))
    # JSON, which is YAML too.
    RELEASE.write_text(json.dumps(release(document, BUILT.parent, chosen), indent=1), "utf-8")
    PARAMETERS.write_text(json.dumps(chosen, indent=1), "utf-8")


_LONGEST_NAME = 64  # of a Lambda function (AWS Lambda API, CreateFunction)
_RULE = "PublishedVersionsAreMadeByMake"
_PUBLISHED: Final = {
    "AutoPublishAlias": "live",
    "VersionDeletionPolicy": "Delete",
    "DeploymentPreference": {
        "Enabled": {"Ref": "CanaryDeployment"},
        "Type": "Canary10Percent10Minutes",
        "Role": {"Fn::GetAtt": ["DeploymentRole", "Arn"]},
        "Alarms": {
            "Fn::If": ["HasCanary", [{"Ref": "NewCodeFails"}, {"Ref": "NewCodeDoesNotRun"}], []]
        },
    },
}
"""What every function has then: `live` moves on when a new version has proved itself."""


def _with_aliases(value: Any, aliases: Mapping[str, Any]) -> Any:
    """Return a part of a template that says the alias where it said the ARN of a function."""
    match value:
        case {"Fn::GetAtt": [name, "Arn"]} if name in aliases:
            return aliases[name]
        case dict():
            return {key: _with_aliases(each, aliases) for key, each in value.items()}
        case list():
            return [_with_aliases(each, aliases) for each in value]
    return value


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
