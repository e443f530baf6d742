"""Stands in for TensorRT 10 as a Jetson has it: its config knows no compute capabilities."""

from fakes.libraries.stand_in import *  # noqa: F403

__version__ = "10.16.2.10"
