"""botocore's data in the layer: all that the functions ask of AWS, and nothing else."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader
from botocore.regions import EndpointResolver
from botocore.session import Session

from infra.cloudformation import read_document
from tests.harness.transform import TEMPLATES

ROOT = Path(__file__).parents[3]
STOCK = Path(botocore.__file__).parent / "data"
_spec = importlib.util.spec_from_file_location(
    "botocore_data", ROOT / "layers/auth/botocore_data.py"
)
assert _spec
assert _spec.loader
botocore_data = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(botocore_data)
SERVICES = sorted(botocore_data.OPERATIONS)
OF_LAMBDA = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""What Lambda itself does in the name of a function that a queue feeds."""
REGIONS = ("us-east-1", "eu-central-1", "ap-southeast-1", "cn-north-1", "cn-northwest-1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("botocore") / "data"
    folder.mkdir()
    for name in [*SERVICES, "sns"]:
        shutil.copytree(STOCK / name, folder / name)
    for path in STOCK.glob("*.json"):
        shutil.copy(path, folder)
    botocore_data.cut_folder(folder)
    return folder


def test_the_operations_are_those_that_the_roles_allow() -> None:
    """What is called is what they allow: tests/third_party/test_least_privilege.py."""
    actions = {
        action
        for resource in read_document(TEMPLATES["template"])["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _list(_whatever_holds(statement)["Action"])
    }
    assert {
        f"{service}:{operation}"
        for service, operations in botocore_data.OPERATIONS.items()
        for operation in operations
    } == {
        action.replace("lambda:InvokeFunction", "lambda:Invoke")  # as IAM has it
        for action in actions - OF_LAMBDA
        if action.partition(":")[0] in SERVICES
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_offers_the_listed_operations_and_describes_them_as_before(
    data: Path, service: str
) -> None:
    model, stock = _client(data, service).meta.service_model, _client(STOCK, service).meta
    assert sorted(model.operation_names) == sorted(botocore_data.OPERATIONS[service])
    for name in model.operation_names:
        mine, theirs = model.operation_model(name), stock.service_model.operation_model(name)
        assert _described(mine.input_shape) == _described(theirs.input_shape)
        assert _described(mine.output_shape) == _described(theirs.output_shape)
        assert [each.name for each in mine.error_shapes] == [e.name for e in theirs.error_shapes]
    assert model.metadata == stock.service_model.metadata


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_every_region_has_the_endpoint_it_had(data: Path, service: str, region: str) -> None:
    mine, theirs = _client(data, service, region).meta, _client(STOCK, service, region).meta
    assert mine.endpoint_url == theirs.endpoint_url
    assert mine.endpoint_url.endswith(".amazonaws.com.cn" if "cn-" in region else ".amazonaws.com")


@pytest.mark.parametrize("service", SERVICES)
def test_all_partitions_and_their_regions_are_still_known(data: Path, service: str) -> None:
    mine, theirs = (
        EndpointResolver(json.loads((folder / "endpoints.json").read_bytes()))
        for folder in (data, STOCK)
    )
    assert mine.get_available_partitions() == theirs.get_available_partitions()
    for partition in theirs.get_available_partitions():
        assert mine.get_available_endpoints(service, partition) == theirs.get_available_endpoints(
            service, partition
        )


def test_nothing_else_is_left(data: Path) -> None:
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == SERVICES
    for service in SERVICES:
        [version] = (data / service).iterdir()
        names = sorted(path.name for path in version.iterdir())
        assert names == ["endpoint-rule-set-1.json", "service-2.json"]
        assert '"documentation"' not in (version / "service-2.json").read_text("utf-8")


def test_an_operation_that_is_not_listed_is_not_there(data: Path) -> None:
    assert not hasattr(_client(data, "dynamodb"), "delete_table")
    with pytest.raises(KeyError, match="NoSuchOperation"):
        botocore_data.cut_model({"operations": {}, "shapes": {}}, ["NoSuchOperation"])


def _client(data: Path, service: str, region: str = "us-east-1"):  # type: ignore[no-untyped-def]
    session = Session()
    loader = Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    session.set_credentials("a", "b")
    client = session.create_client(service, region)
    client.close()
    return client


def _described(shape, depth: int = 0):  # type: ignore[no-untyped-def]
    """Return a shape and all below it, without what is written for people."""
    if shape is None or depth > 6:
        return None
    members = getattr(shape, "members", {})
    below = {name: _described(each, depth + 1) for name, each in members.items()}
    for part in ("member", "key", "value"):
        if hasattr(shape, part):
            below[part] = _described(getattr(shape, part), depth + 1)
    return (
        shape.name,
        shape.type_name,
        shape.serialization,
        sorted(shape.metadata.items(), key=str),
        below,
    )


def _whatever_holds(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement that stands under a condition."""
    chosen: dict[str, Any] = statement["Fn::If"][1] if "Fn::If" in statement else statement
    return chosen


def _list(value: object) -> list[str]:
    return value if isinstance(value, list) else [str(value)]
