"""What is deployed reaches users: at once, or as a new version of each function that it changes."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cloudformation import read_document
from infra.release import (
    ReleaseError,
    check_stack_name,
    deploy_settings,
    overrides,
    read_samconfig,
    release,
    values,
)
from tests.harness.transform import EVERYTHING_ON, ROOT, TEMPLATES, Document, of_type, transformed

FUNCTIONS = {
    "Login", "Phone", "Decrypt", "Session", "Introspect", "Authorizer",
    "AccessToken", "EndSessions", "RefreshAccessToken",
    "WeChatPush", "UserEvents", "Merchants", "PlatformEvents",
}  # fmt: skip
Change = Callable[[Path], None]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what a release is made from; `make build` leaves the same, built."""
    for folder in ("functions", "layers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def versions(
    sources: Path, parameters: dict[str, str] = EVERYTHING_ON, document: Document | None = None
) -> dict[str, str]:
    """Return the logical id of each function's published version."""
    document = document or read_document(TEMPLATES["template"])
    chosen = values(document, parameters)
    released = release(document, sources, chosen)
    return published(transformed(released, parameters))


def published(template: Document) -> dict[str, str]:
    return {
        version.partition("FunctionVersion")[0]: version
        for version in of_type(template, "AWS::Lambda::Version")
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys() == FUNCTIONS
    return {name for name in before if before[name] != after[name]}


def append(path: str) -> Change:
    def change(sources: Path) -> None:
        with (sources / path).open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (append("layers/auth/wechat_auth/wechat.py"), FUNCTIONS),
        (append("layers/crypto/wechat_crypto/sealing.py"), FUNCTIONS),
        (append("layers/auth/requirements.txt"), FUNCTIONS),
        (lambda s: (s / "layers/auth/wechat_auth/new.py").touch(), FUNCTIONS),
        (lambda s: (s / "layers/auth/wechat_auth/login.py").unlink(), FUNCTIONS),
        (append("functions/login/app.py"), {"Login"}),
        (lambda _: None, set()),
    ],
    ids=[
        "a layer alone",
        "the other layer",
        "a package of a layer",
        "a new file",
        "a file less",
        "one function",
        "nothing",
    ],
)
def test_a_change_publishes_the_functions_it_is_in(
    sources: Path, change: Change, expected: set[str]
) -> None:
    before = versions(sources)
    change(sources)
    assert changed(before, versions(sources)) == expected


PLAIN = {"WeChatAppIds": "wxfedcba9876543210"}


def functions(document: Document, parameters: dict[str, str] = PLAIN) -> dict[str, Document]:
    """Return what CloudFormation compares of each function, as `sam deploy` has it."""
    template = transformed(document, parameters)
    assert not published(template)
    assert not of_type(template, "AWS::Lambda::Alias")
    return {
        name.removesuffix("Function"): each
        for name, each in of_type(template, "AWS::Lambda::Function").items()
    }


def test_sam_deploy_changes_the_functions_themselves(sources: Path) -> None:
    def different(**change: str) -> set[str]:
        document = read_document(TEMPLATES["template"])
        for logical_id, path in change.items():
            properties = document["Resources"][logical_id]["Properties"]
            properties.update(dict.fromkeys(properties.keys() & {"CodeUri", "ContentUri"}, path))
        now = functions(document)
        return {name for name in before if before[name] != now[name]}

    before = functions(read_document(TEMPLATES["template"]))
    assert before.keys() == FUNCTIONS
    assert different() == set()
    # SAM uploads a folder under the hash of its content.
    assert different(LoginFunction="functions/changed/") == {"Login"}
    assert different(AuthLayer="layers/changed/") == FUNCTIONS


@pytest.mark.parametrize("parameter", ["SessionDays", "WeChatAppIds", "Architecture"])
def test_a_parameter_changed_by_sam_deploy_or_in_the_console_changes_every_function(
    parameter: str,
) -> None:
    for function in functions(read_document(TEMPLATES["template"])).values():
        assert json.dumps({"Ref": parameter}) in json.dumps(function)


def test_a_guided_deployment_asks_for_little_and_only_the_appids_have_no_default() -> None:
    parameters = read_document(TEMPLATES["template"])["Parameters"]
    assert len(parameters) <= 20  # SAM CLI asks for each
    assert {name for name, each in parameters.items() if "Default" not in each} == {"WeChatAppIds"}


def test_a_release_is_what_was_built_unless_published_versions_are_asked_for(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    assert release(document, sources, values(document, PLAIN)) == document
    for parameter in ("SnapStart", "CanaryDeployment"):
        chosen = values(document, PLAIN | {parameter: "true"})
        template = transformed(release(document, sources, chosen), PLAIN | {parameter: "true"})
        assert published(template).keys() == FUNCTIONS
        groups = of_type(template, "AWS::CodeDeploy::DeploymentGroup")
        assert len(groups) == (len(FUNCTIONS) if parameter == "CanaryDeployment" else 0)


@pytest.mark.parametrize("parameter", ["SessionDays", "WeChatAppIds", "SnapStart"])
def test_a_changed_parameter_publishes_every_function(sources: Path, parameter: str) -> None:
    other = {"SessionDays": "8", "SnapStart": "false"}.get(parameter, "wx00000000000000aa")
    before = versions(sources)
    assert changed(before, versions(sources, EVERYTHING_ON | {parameter: other})) == FUNCTIONS


def test_a_changed_property_publishes_its_function(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    before = versions(sources)
    document["Resources"]["PhoneFunction"]["Properties"]["Timeout"] = 21
    assert changed(before, versions(sources, document=document)) == {"Phone"}


def test_a_release_takes_no_other_values_than_its_own(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    chosen = values(document, EVERYTHING_ON)
    parameters = release(document, sources, chosen)["Parameters"]
    assert {name: p["AllowedValues"] for name, p in parameters.items()} == {
        name: [value] for name, value in chosen.items()
    }
    assert {name: p["Default"] for name, p in parameters.items()} == chosen


def test_sam_deploy_alone_is_refused_what_needs_published_versions(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    (rule,) = document["Rules"]["PublishedVersionsAreMadeByMake"]["Assertions"]
    asked = [{"Ref": "SnapStart"}, {"Ref": "CanaryDeployment"}]
    assert rule["Assert"] == {"Fn::And": [{"Fn::Equals": [each, "false"]} for each in asked]}
    assert "which only `make deploy ENV=<environment>` makes" in rule["AssertDescription"]
    released = release(document, sources, values(document, EVERYTHING_ON))
    assert released["Rules"].keys() == {
        "CustomDomainIsWhole",
        "PlatformHasAddresses",
        "ServesSomething",
    }


@pytest.mark.parametrize(
    ("appids", "accepted"),
    [
        ("wxfedcba9876543210", True),
        ("wxfedcba9876543210,wx1111111111111111", True),
        ("wx0123456789abcdef", False),
        ("wxfedcba9876543210,wx0123456789abcdef", False),
        ("wx0123456789abcdef,wxfedcba9876543210", False),
        ("wxfedcba987654321", False),
    ],
)
def test_the_appid_of_the_example_is_refused(appids: str, accepted: bool) -> None:
    parameter = read_document(TEMPLATES["template"])["Parameters"]["WeChatAppIds"]
    assert bool(re.search(parameter["AllowedPattern"], appids)) is accepted
    assert "not the example's wx0123456789abcdef" in parameter["ConstraintDescription"]


def test_making_a_release_leaves_what_was_built_alone(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    release(document, sources, values(document, EVERYTHING_ON))
    assert document == read_document(TEMPLATES["template"])


def test_a_release_needs_what_was_built(tmp_path: Path) -> None:
    document = read_document(TEMPLATES["template"])
    with pytest.raises(ReleaseError, match="is empty: run make build"):
        release(document, tmp_path, values(document, EVERYTHING_ON))


# ----------------------------------------------------------------------- samconfig.toml


def test_every_environment_has_its_own_stack_and_a_value_for_every_parameter() -> None:
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    document = read_document(TEMPLATES["template"])
    environments = [e for e, each in samconfig.items() if "deploy" in str(each)]
    assert environments == ["default", "dev", "staging", "prod"]
    for environment in environments:
        assert values(document, overrides(samconfig, environment))
        settings = deploy_settings(samconfig, environment)
        own = "" if environment == "default" else f"-{environment}"
        assert settings["stack_name"] == f"wechat-auth{own}"
        assert settings["capabilities"] == "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
        # Cost-allocation tags; CloudFormation hands them on to the resources and nested stacks.
        assert settings["tags"] == f"service=wechat-auth environment={environment}"
    assert {e: overrides(samconfig, e).get("CanaryDeployment", "false") for e in environments} == {
        "default": "false",
        "dev": "false",
        "staging": "true",
        "prod": "true",
    }


def test_sam_sync_adds_no_layer_of_its_own() -> None:
    """The functions bring no requirements.txt, so a nested stack with their layer has no use."""
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    assert samconfig["default"]["sync"]["parameters"]["dependency_layer"] is False
    assert not list(ROOT.glob("functions/*/requirements.txt"))


def test_an_environment_that_is_not_there_is_named_with_those_that_are() -> None:
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    with pytest.raises(ReleaseError, match="ENV is one of default, dev, staging, prod"):
        overrides(samconfig, "production")


def test_a_samconfig_of_ones_own_is_read_instead(tmp_path: Path) -> None:
    shutil.copy(ROOT / "samconfig.toml", tmp_path)
    assert set(read_samconfig(tmp_path)) == {"version", "default", "dev", "staging", "prod"}
    (tmp_path / "samconfig.local.toml").write_text("version = 0.1\n[test]\n", "utf-8")
    assert set(read_samconfig(tmp_path)) == {"version", "test"}


def test_overrides_are_a_text_or_a_list_as_in_sam() -> None:
    for given in ('A=1 B="two words"', ["A=1", "B=two words"]):
        samconfig = {"dev": {"deploy": {"parameters": {"parameter_overrides": given}}}}
        assert overrides(samconfig, "dev") == {"A": "1", "B": "two words"}


@pytest.mark.parametrize(("length", "refused"), [(43, False), (44, True)])
def test_a_stack_name_that_would_be_too_long_is_refused_before_anything_is_created(
    length: int, refused: bool
) -> None:
    document = read_document(TEMPLATES["template"])
    if not refused:
        check_stack_name(document, "x" * length)
        return
    with pytest.raises(ReleaseError, match="has 44 characters and may have 43"):
        check_stack_name(document, "x" * length)


def test_a_parameter_that_is_missing_or_unknown_is_named() -> None:
    document = read_document(TEMPLATES["template"])
    with pytest.raises(ReleaseError, match="no value for WeChatAppIds"):
        values(document, {})
    with pytest.raises(ReleaseError, match="no parameter SesionDays"):
        values(document, EVERYTHING_ON | {"SesionDays": "8"})
