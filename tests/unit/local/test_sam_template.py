from typing import Any

import pytest

from local import APPID
from local.sam_template import local_template


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "x86_64"), ("AMD64", "x86_64"), ("arm64", "arm64"), ("aarch64", "arm64")],
)
def test_functions_run_on_this_machines_processor(machine: str, architecture: str) -> None:
    document = local_template(built(), port=3000, machine=machine)
    assert document["Parameters"]["Architecture"]["Default"] == architecture


def test_functions_find_wechat_and_aws_in_the_local_stack() -> None:
    document = local_template(built(), port=4000, machine="arm64")
    assert document["Parameters"]["WeChatAppIds"]["Default"] == APPID
    assert document["Parameters"]["WeChatBaseUrls"]["Default"] == "http://host.docker.internal:4001"
    assert document["Globals"]["Function"]["Environment"]["Variables"] == {
        "SESSION_DAYS": {"Ref": "SessionDays"},
        "AWS_ENDPOINT_URL": "http://host.docker.internal:4002",
    }


def built() -> dict[str, Any]:
    return {
        "Parameters": {
            "WeChatAppIds": {"Type": "String"},
            "WeChatBaseUrls": {"Default": "https://api.weixin.qq.com"},
            "Architecture": {"Default": "arm64"},
        },
        "Globals": {
            "Function": {"Environment": {"Variables": {"SESSION_DAYS": {"Ref": "SessionDays"}}}}
        },
    }
