"""A simulated WeChat: the eight server endpoints with their real rules, and the phones that tap.

Nothing here knows the backend under test, and nothing of the backend is imported here: open data is
encrypted and signed by code of its own, so a mistake in the one is not mirrored in the other.

    wechat = SimulatedWeChat(apps=[App(appid="wx0123456789abcdef", secret="…")])
    with serve(wechat) as server:
        code = wechat.phone().login()
        ...  # GET {server.url}/sns/jscode2session?appid=…&secret=…&js_code={code}&…

Facts and errcodes are those of developers.weixin.qq.com, mini-program server API.
"""

from .answer import Call
from .api_security import ApiSecurity
from .deliveries import Deliveries, Delivery
from .errors import WeChatError
from .faults import Fault
from .message_push import MessagePush, Pushed
from .phone import Phone, PhoneTap, UserInfo
from .platform import ThirdPartyPlatform
from .quotas import Quota
from .server import Server, serve
from .simulation import SimulatedWeChat
from .world import App, Billed, Settings

__all__ = [
    "ApiSecurity",
    "App",
    "Billed",
    "Call",
    "Deliveries",
    "Delivery",
    "Fault",
    "MessagePush",
    "Phone",
    "PhoneTap",
    "Pushed",
    "Quota",
    "Server",
    "Settings",
    "SimulatedWeChat",
    "ThirdPartyPlatform",
    "UserInfo",
    "WeChatError",
    "serve",
]
