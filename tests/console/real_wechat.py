"""`python -m tests.console.real_wechat`: `make run APPID=wx…`, in a process of its own.

A second simulated WeChat stands for the real one; its whitelist holds another address than ours.
The address of the API and a code of its phone are printed, as JSON, and it ends with its input.
"""

import json
import sys

from local import console
from local.simulated_wechat import App, SimulatedWeChat, serve
from local.stack import RealApp

APP = RealApp("wx00000000000000aa", "0123456789abcdef" * 2)

if __name__ == "__main__":
    real = SimulatedWeChat([App(APP.appid, APP.secret, ip_whitelist=("192.0.2.1",))])
    with (
        serve(real) as server,
        console.start(real=APP, parameters={"WeChatBaseUrls": server.url}) as stack,
    ):
        code = real.phone().tap_phone_number().code
        print(json.dumps({"url": stack.url, "code": code}), flush=True)
        sys.stdin.read()
