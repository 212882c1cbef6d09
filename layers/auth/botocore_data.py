"""Cuts botocore's data to what the functions ask of AWS: a step of the layer's build.

botocore parses its data again at every cold start: all operations of a service with their
documentation, and the regions of all services. Only what is listed here stays; a test holds the
list and the permissions of template.yaml together.

Usage: python3.13 botocore_data.py <the layer's botocore/data>
"""

import gzip
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

OPERATIONS: Final[Mapping[str, Sequence[str]]] = {
    "dynamodb": (
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "UpdateItem",
    ),
    "lambda": ("Invoke",),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("SendMessage",),
}


def cut_folder(data: Path) -> None:
    """Cut a folder of botocore's data in place."""
    for folder in [path for path in data.iterdir() if path.is_dir()]:
        if folder.name in OPERATIONS:
            _cut_service(folder, OPERATIONS[folder.name])
        else:
            shutil.rmtree(folder)
    regions = data / "endpoints.json"
    _write(regions, cut_regions(json.loads(regions.read_bytes())))


def cut_model(model: Mapping[str, Any], operations: Sequence[str]) -> dict[str, Any]:
    """Return a service model with these operations, the shapes they need, and no documentation."""
    kept = {name: model["operations"][name] for name in operations}
    shapes: dict[str, Any] = {}
    wanted = list(_shapes_of(kept))
    while wanted:
        if (name := wanted.pop()) not in shapes:
            shapes[name] = model["shapes"][name]
            wanted.extend(_shapes_of(shapes[name]))
    ordered = {name: shape for name, shape in model["shapes"].items() if name in shapes}
    cut: dict[str, Any] = _undocumented({**model, "operations": kept, "shapes": ordered})
    return cut


def cut_regions(endpoints: Mapping[str, Any]) -> dict[str, Any]:
    """Return every partition and region, for the services called."""
    partitions = [
        {
            **partition,
            "services": {
                name: service
                for name, service in partition["services"].items()
                if name in OPERATIONS
            },
        }
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _cut_service(folder: Path, operations: Sequence[str]) -> None:
    """Keep the newest version of the service: its model and its rules for endpoints."""
    *older, newest = sorted(folder.iterdir())
    for version in older:
        shutil.rmtree(version)
    model = _read(newest / "service-2")
    for extras in newest.glob("service-2.*extras.json"):
        model["metadata"] |= json.loads(extras.read_bytes())["merge"]["metadata"]
    rules = _read(newest / "endpoint-rule-set-1")
    for path in newest.iterdir():
        path.unlink()
    _write(newest / "service-2.json", cut_model(model, operations))
    _write(newest / "endpoint-rule-set-1.json", rules)


def _shapes_of(node: object) -> Iterator[str]:
    """Find the shapes that a part of a model refers to."""
    if isinstance(node, Mapping):
        if isinstance(name := node.get("shape"), str):
            yield name
        for value in node.values():
            yield from _shapes_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from _shapes_of(value)


def _undocumented(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            name: _undocumented(value)
            for name, value in node.items()
            if not (name == "documentation" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_undocumented(value) for value in node]
    return node


def _read(name: Path) -> Any:
    packed = name.with_name(name.name + ".json.gz")
    if packed.is_file():
        return json.loads(gzip.decompress(packed.read_bytes()))
    return json.loads(name.with_name(name.name + ".json").read_bytes())


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), "utf-8")


if __name__ == "__main__":
    cut_folder(Path(sys.argv[1]))
