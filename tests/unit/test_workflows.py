"""What runs on GitHub is pinned, may little, and deploys only what was tested and approved."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github/workflows"
PINNED = {
    "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1": "v7.0.1",
    "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97": "v7.0.0",
    "aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c": "v6.2.3",
}


def workflow(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return document


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_every_action_is_pinned_to_the_commit_of_a_release(path: Path) -> None:
    used = re.findall(r"uses: (\S+@\S+)(?: # (\S+))?", path.read_text("utf-8"))
    assert used
    assert set(used) <= set(PINNED.items())


def test_every_push_is_tested_on_the_oldest_python_and_on_lambdas() -> None:
    test = workflow("test.yml")
    assert "push" in test[True]  # YAML 1.1 takes the key `on` for a boolean
    *_, python, run = test["jobs"]["test"]["steps"]
    assert python["with"]["python-version"].split() == ["3.11", "3.13"]
    assert run == {"run": ".ci/run"}


@pytest.mark.parametrize("name", ["test.yml", "deploy.yml"])
def test_a_workflow_may_read_the_code_and_no_more(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}


def test_prod_follows_staging_and_staging_follows_the_tests() -> None:
    jobs = workflow("deploy.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["staging"]["if"] == "github.ref == 'refs/heads/main'"
    assert (jobs["staging"]["needs"], jobs["prod"]["needs"]) == ("test", "staging")
    for name in ("staging", "prod"):
        assert jobs[name]["environment"] == name
        assert jobs[name]["permissions"] == {"contents": "read", "id-token": "write"}
        commands = [step["run"] for step in jobs[name]["steps"] if "run" in step]
        assert commands == ['make deploy ENV="$ENVIRONMENT" ARGS=--no-confirm-changeset']


def test_no_secret_is_stored_for_aws() -> None:
    text = (FOLDER / "deploy.yml").read_text("utf-8")
    assert "secrets." not in text
    assert "role-to-assume: ${{ vars.AWS_ROLE_ARN }}" in text
