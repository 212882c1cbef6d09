"""Run the simulated WeChat alone: python -m local.simulated_wechat --port 3001."""

import argparse
import contextlib
import sys
import threading
import time

from . import App, Call, SimulatedWeChat, serve
from .control import ROUTES


def _show(call: Call) -> None:
    outcome = call.fault if call.errcode is None else f"errcode {call.errcode}"
    stamp = time.strftime("%H:%M:%S", time.localtime(call.at))
    print(f"{stamp}  {call.endpoint:<20} {outcome}  {call.duration * 1000:.1f} ms", flush=True)


def main() -> int:
    """Serve until Ctrl-C; return 1 if the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m local.simulated_wechat", description=__doc__)
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--appid", default="wx0123456789abcdef")
    parser.add_argument("--secret", default="0123456789abcdef0123456789abcdef")
    options = parser.parse_args()
    wechat = SimulatedWeChat(apps=[App(options.appid, options.secret, cloud=True, unionid=True)])
    wechat.on_call = _show
    try:
        server = serve(wechat, options.port, options.host)
    except OSError as error:
        print(f"port {options.port} cannot be used ({error.strerror}): try --port 0 for a free one")
        return 1
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"WeChat for {options.appid} at {server.url}; Ctrl-C ends it.")
        print(f"AppSecret {options.secret}. Its own routes:")
        for method, path in ROUTES:
            print(f"  {method:<6} {path}", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
