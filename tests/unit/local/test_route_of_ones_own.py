"""A route of one's own, as docs/own-backend.md adds it to the template, on this machine."""

import json
import re
from pathlib import Path

from local import APPID
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack
from tests.harness.api import Api
from tests.harness.transform import ROOT

GUIDE = (ROOT / "docs/own-backend.md").read_text("utf-8")


def block(language: str) -> str:
    """Return the guide's first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


def with_the_route(folder: Path, openid: str) -> Path:
    """Make a copy of the project with the guide's function, and one order of a user's."""
    template = (ROOT / "template.yaml").read_text("utf-8")
    (folder / "template.yaml").write_text(
        template.replace("\nResources:\n", f"\nResources:\n{block('yaml')}\n", 1), "utf-8"
    )
    (folder / "layers").symlink_to(ROOT / "layers")
    (folder / "functions").mkdir()
    for function in (ROOT / "functions").iterdir():
        (folder / "functions" / function.name).symlink_to(function)
    (folder / "functions/orders").mkdir()
    orders = block("python").replace("ORDERS = {}", f"ORDERS = {json.dumps({openid: ['tea']})}")
    (folder / "functions/orders/app.py").write_text(orders, "utf-8")
    return folder / "template.yaml"


def test_serves_who_is_logged_in_and_nobody_else(tmp_path: Path) -> None:
    wechat = SimulatedWeChat([App(APPID, "0" * 32)])
    owner = wechat.phone()
    template = with_the_route(tmp_path, owner.openid)
    with Stack.start(wechat=wechat, template=template) as stack:
        api = Api(stack.url)
        token, stranger = (api.logged_in(phone) for phone in (owner, wechat.phone()))
        assert api.request("GET", "/orders", token=token).json == {"orders": ["tea"]}
        assert api.request("GET", "/orders", token=stranger).json == {"orders": []}
        assert api.request("GET", "/orders").status == 401
        api.logout(token)
        assert api.request("GET", "/orders", token=token).status == 403
