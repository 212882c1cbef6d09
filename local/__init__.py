"""The whole stack on one machine: HTTP front, simulated WeChat, embedded AWS."""

APPID = "wx0123456789abcdef"
"""The mini-program that is simulated, and served, where nothing else is said."""
