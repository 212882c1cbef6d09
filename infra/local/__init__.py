"""The whole stack on one machine: HTTP front, simulated WeChat, embedded AWS."""
