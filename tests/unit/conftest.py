"""Hypothesis for every unit test: no deadline, since machines that share their cores stall."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
