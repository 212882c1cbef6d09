"""`python -m local.sam_template`: the built template for `sam local`, beside the built one.

What differs: the functions find WeChat and AWS in the stack of `make run LISTEN=docker` (PORT, as
there) instead of on the internet, and run on this machine's processor. SAM CLI passes a function no
variable that its template does not name, so AWS_ENDPOINT_URL needs a template of its own.

Runs in SAM CLI's own Python, after `sam build`, which writes every intrinsic function in full.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any, Final

import yaml

from local import APPID

BUILT: Final = Path(".aws-sam/build/template.yaml")
LOCAL: Final = BUILT.with_name("local.yaml")
HOST: Final = "host.docker.internal"
"""This machine, as seen from a container."""


def local_template(document: dict[str, Any], *, port: int, machine: str) -> dict[str, Any]:
    """Return a built template with other defaults, and AWS_ENDPOINT_URL for every function.

    Args:
        document: The built template; it is changed.
        port: Of the local API; the simulated WeChat has the next one, AWS the one after.
        machine: The processor, as `platform.machine` names it.
    """
    defaults = {
        "WeChatAppIds": APPID,
        "WeChatBaseUrls": f"http://{HOST}:{port + 1}",
        "Architecture": "arm64" if machine.lower() in {"arm64", "aarch64"} else "x86_64",
    }
    for name, value in defaults.items():
        document["Parameters"][name]["Default"] = value
    variables = document["Globals"]["Function"]["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL"] = f"http://{HOST}:{port + 2}"
    return document


def main() -> None:
    """Write the template."""
    built = yaml.safe_load(BUILT.read_text("utf-8"))
    port = int(os.environ.get("PORT") or 3000)
    local = local_template(built, port=port, machine=platform.machine())
    LOCAL.write_text(json.dumps(local, indent=1), "utf-8")  # which is YAML, too


if __name__ == "__main__":
    main()
