"""template.yaml as CloudFormation gets it: transformed by SAM's own translator."""

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from samtranslator.translator.arn_generator import ArnGenerator
from samtranslator.translator.transform import transform as translate

from infra.cloudformation import read_document
from infra.release import release, values

ROOT = Path(__file__).parents[2]
TEMPLATES = {
    "template": ROOT / "template.yaml",
    "observability": ROOT / "infra/observability.yaml",
    "egress": ROOT / "infra/egress.yaml",
}
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1"}
EVERYTHING_ON = {
    "WeChatAppIds": "wx0123456789abcdef",
    "SnapStart": "true",
    "CanaryDeployment": "true",
    "Monitoring": "true",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "FixedAddresses": "2",
    "AccountFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:account",
    "CustomDomainName": "api.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0-0",
}

Document = dict[str, Any]


class _NoManagedPolicies:
    """The template names no policy by the short name that SAM would look up."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(
    document: Document | None = None,
    parameters: Mapping[str, str] = EVERYTHING_ON,
    *,
    partition: str = "aws",
) -> Document:
    """Transform a template as SAM does in a region of the partition, with these parameters.

    Nothing but the transform: conditions and references stand as they will in CloudFormation.
    """
    if document is None:  # as `make deploy` has it
        document = read_document(TEMPLATES["template"])
        released = release(document, ROOT, values(document, parameters))
        document = released | {"Parameters": document["Parameters"]}
    document = copy.deepcopy(document)
    for resource in document["Resources"].values():
        for path in ("CodeUri", "ContentUri"):
            if path in (properties := resource.get("Properties", {})):
                properties[path] = f"s3://bucket/{properties[path]}"
    region = REGIONS[partition]
    with (
        mock.patch.dict(os.environ, AWS_DEFAULT_REGION=region),
        mock.patch.object(ArnGenerator, "BOTO_SESSION_REGION_NAME", region),
    ):
        result = translate(document, values(document, parameters), _NoManagedPolicies())
    # What the translator marks along the way is no part of the answer.
    plain: Document = json.loads(json.dumps(result))
    return plain


def of_type(template: Document, kind: str) -> dict[str, Document]:
    """Return the properties of every resource of a type, by logical id."""
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == kind
    }
