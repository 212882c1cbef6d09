"""What is deployed reaches users: a change of anything that makes a function publishes it."""

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cloudformation import read_document
from infra.release import ReleaseError, check_stack_name, overrides, release, values
from tests.harness.transform import EVERYTHING_ON, ROOT, TEMPLATES, Document, of_type, transformed

FUNCTIONS = {
    "Login", "Phone", "Decrypt", "Session", "Introspect", "Authorizer",
    "AccessToken", "EndSessions", "RefreshAccessToken",
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
    released["Parameters"]["CodeSha256"] = {"Type": "String", "Default": ""}  # for values() below
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


def test_without_the_hash_a_change_of_a_layer_would_reach_nobody(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    before = published(transformed(document))
    document["Resources"]["AuthLayer"]["Properties"]["ContentUri"] = "layers/changed/"
    assert changed(before, published(transformed(document))) == set()


@pytest.mark.parametrize("parameter", ["SessionDays", "LogLevel", "WeChatAppIds", "SnapStart"])
def test_a_changed_parameter_publishes_every_function(sources: Path, parameter: str) -> None:
    other = {"SessionDays": "8", "LogLevel": "DEBUG", "SnapStart": "false"}.get(
        parameter, "wx00000000000000aa"
    )
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


def test_sam_deploy_alone_is_refused_and_a_release_is_not(sources: Path) -> None:
    document = read_document(TEMPLATES["template"])
    rule = document["Rules"]["DeployedByMake"]["Assertions"][0]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "CodeSha256"}, ""]}]}
    assert "make deploy" in rule["AssertDescription"]
    assert document["Parameters"]["CodeSha256"]["Default"] == ""
    for function in of_type(document, "AWS::Serverless::Function").values():
        assert function["AutoPublishCodeSha256"] == {"Ref": "CodeSha256"}

    released = release(document, sources, values(document, EVERYTHING_ON))
    assert "CodeSha256" not in json.dumps(released["Parameters"])
    assert released["Rules"].keys() == {"CustomDomainIsWhole"}
    # The stack then has no such parameter whose last value `sam deploy` could use again.
    assert '{"Ref": "CodeSha256"}' not in json.dumps(released)


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
    assert environments == ["dev", "staging", "prod"]
    for environment in environments:
        assert values(document, overrides(samconfig, environment))
        settings = samconfig[environment]["deploy"]["parameters"]
        assert settings["stack_name"] == f"wechat-auth-{environment}"
        assert settings["capabilities"] == "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    assert {e: overrides(samconfig, e).get("CanaryDeployment", "false") for e in environments} == {
        "dev": "false",
        "staging": "true",
        "prod": "true",
    }


def test_an_environment_that_is_not_there_is_named_with_those_that_are() -> None:
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    with pytest.raises(ReleaseError, match="ENV is one of dev, staging, prod"):
        overrides(samconfig, "production")


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
    with pytest.raises(ReleaseError, match="no parameter CodeSha256, SesionDays"):
        values(document, EVERYTHING_ON | {"SesionDays": "8", "CodeSha256": "0" * 64})
