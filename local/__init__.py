"""The whole stack on one machine: HTTP front, simulated WeChat, embedded AWS.

Importing it puts the layers on the import path, as Lambda does with /opt/python.
"""

import os
import sys
from pathlib import Path

sys.path[:0] = map(str, (Path(__file__).parents[1] / "layers").glob("*/"))

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "wechat-auth")  # read when it is imported

APPID = "wx0123456789abcdef"
"""The mini-program that is simulated, and served, if nothing else is said."""

COMPONENT = "wxc0ffee0000000001"
"""The third-party platform that is simulated; merchants may authorise it."""

API_CLIENT = ("local", "local")
"""Name and secret of the client that may ask POST /introspect on this machine."""
