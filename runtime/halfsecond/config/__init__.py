"""The config file: what can be set, its defaults, and what each setting trades.

Every section is a frozen struct; `docs/config.md` is generated from their docstrings.
"""

from __future__ import annotations

from halfsecond.config.answering import LlmConfig, PersonaConfig, PhrasesConfig, PresetQuestion
from halfsecond.config.browser import GatewayConfig, KioskConfig
from halfsecond.config.file import load, parse
from halfsecond.config.hearing import AsrConfig, EchoConfig, EndpointConfig, TurnConfig, VadConfig
from halfsecond.config.machine import (
    LogConfig,
    MemoryConfig,
    ModelsConfig,
    ServerConfig,
    StagesConfig,
    ThermalConfig,
)
from halfsecond.config.sections import Config
from halfsecond.config.speaking import FaceConfig, TtsConfig
from halfsecond.config.uploads import UploadsConfig

__all__ = [
    "AsrConfig",
    "Config",
    "EchoConfig",
    "EndpointConfig",
    "FaceConfig",
    "GatewayConfig",
    "KioskConfig",
    "LlmConfig",
    "LogConfig",
    "MemoryConfig",
    "ModelsConfig",
    "PersonaConfig",
    "PhrasesConfig",
    "PresetQuestion",
    "ServerConfig",
    "StagesConfig",
    "ThermalConfig",
    "TtsConfig",
    "TurnConfig",
    "UploadsConfig",
    "VadConfig",
    "load",
    "parse",
]
