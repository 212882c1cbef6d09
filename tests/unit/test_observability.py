"""What is watched exists, and each alarm is explained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.cloudformation import read_document
from local.template import Application, read_template
from tests.harness.transform import ROOT, TEMPLATES, of_type
from tests.unit.test_cost import metrics

OBSERVABILITY = read_document(TEMPLATES["observability"])
ALARMS = of_type(OBSERVABILITY, "AWS::CloudWatch::Alarm")
GUIDES = (ROOT / "docs/operate.md", ROOT / "docs/operate.zh-CN.md")
OF_AWS = {
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "Latency"},
    "AWS/Lambda": {"Invocations", "Errors", "Throttles"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
WORKERS = {"user_events", "platform_events"}
"""What they cannot do stands in the queue that PushesFail watches, crashes included."""
OPERATORS = {"merchants"}
"""Whoever invokes it sees what goes wrong."""


@pytest.fixture(scope="module")
def application() -> Application:
    parameters = {"WeChatAppIds": "wx0123456789abcdef", "ComponentAppId": "wxc0ffee0000000001"}
    return read_template(TEMPLATES["template"], parameters)


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    (properties,) = of_type(OBSERVABILITY, "AWS::CloudWatch::Dashboard").values()
    text, values = properties["DashboardBody"]["Fn::Sub"]
    for name, value in values.items():
        with_platform = value["Fn::If"][1]["Fn::Sub"]
        text = text.replace(f"${{{name}}}", with_platform)
    body: dict[str, Any] = json.loads(text)
    return body


def test_alarms_watch_metrics_that_are_counted(application: Application) -> None:
    watched = [stat for alarm in ALARMS.values() for stat in stats(alarm)]
    rollback = of_type(read_document(TEMPLATES["template"]), "AWS::CloudWatch::Alarm")
    watched += [stat for alarm in rollback.values() for stat in stats(alarm)]
    for metric in watched:
        ((dimension, value),) = [(d["Name"], d["Value"]) for d in metric["Dimensions"]]
        assert_is_counted(metric["Namespace"], metric["MetricName"], dimension, str(value))


def test_the_dashboard_shows_metrics_that_are_counted(dashboard: dict[str, Any]) -> None:
    shown = [
        metric
        for widget in dashboard["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], str)
    ]
    assert {metric[1] for metric in shown if metric[0] == "WeChatAuth"} == metrics()
    for namespace, name, dimension, value, _ in shown:
        assert_is_counted(namespace, name, dimension, value)


def test_functions_are_all_watched_by_the_names_they_have(
    application: Application, dashboard: dict[str, Any]
) -> None:
    names = application.functions.keys()
    rollback = of_type(read_document(TEMPLATES["template"]), "AWS::CloudWatch::Alarm")
    for alarm, stack in (
        (ALARMS["FunctionErrors"], "ServiceName"),
        (rollback["NewCodeDoesNotRun"], "AWS::StackName"),
    ):
        watched = [str(d["Value"]["Fn::Sub"]) for s in stats(alarm) for d in s["Dimensions"]]
        assert sorted(watched) == sorted(f"${{{stack}}}-{n}" for n in names - WORKERS - OPERATORS)
        # More, and CloudWatch refuses the alarm (CloudWatch User Guide, "Alarms on metric math").
        assert len(watched) <= 10
    logs = re.findall(r"/aws/lambda/\$\{ServiceName\}-([^']+)'", json.dumps(dashboard))
    assert set(logs) == names


def test_the_dashboard_shows_every_alarm(dashboard: dict[str, Any]) -> None:
    (widget,) = [each for each in dashboard["widgets"] if each["type"] == "alarm"]
    shown = widget["properties"]["alarms"]
    assert sorted(shown) == sorted(f"${{{name}.Arn}}" for name in ALARMS)


def test_widgets_do_not_overlap_and_fill_the_width(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not taken & cells
        taken |= cells
    assert taken == {(x, y) for x in range(24) for y in range(max(y for _, y in taken) + 1)}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_each_alarm_is_explained_and_no_other(guide: Path) -> None:
    assert re.findall(r"^### (\w+)$", guide.read_text("utf-8"), re.MULTILINE) == list(ALARMS)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_each_metric_is_explained(guide: Path) -> None:
    table = re.findall(r"^\| (`.*`) \|", guide.read_text("utf-8"), re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`([A-Z]\w+)`", cell)}
    assert named == metrics()


def test_each_alarm_tells_the_topic_when_it_begins_and_when_it_ends() -> None:
    told = {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == told
        assert alarm["AlarmName"] == {"Fn::Sub": f"${{ServiceName}}-{name}"}
        assert alarm["AlarmDescription"].endswith("See docs/operate.md.")


def stats(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "MetricName" in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def assert_is_counted(namespace: str, name: str, dimension: str, value: str) -> None:
    if namespace == "WeChatAuth":
        assert name in metrics()
        assert dimension == "service"
        assert "ServiceName" in value or "AWS::StackName" in value
    else:
        assert name in OF_AWS[namespace]
        of = {"AWS/ApiGateway": "ApiId", "AWS/Lambda": "FunctionName", "AWS/SQS": "QueueName"}
        assert dimension == of[namespace]
