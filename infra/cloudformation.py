"""Templates as they are written: YAML with CloudFormation's short forms of functions."""

from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse


def read_document(path: Path) -> dict[str, Any]:
    """Read a template, nothing resolved, short forms of functions spelled out."""
    document: dict[str, Any] = yaml_parse(path.read_text("utf-8"))
    return document
