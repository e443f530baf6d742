"""The config: all its sections."""

from __future__ import annotations

from halfsecond.config.answering import LlmConfig, PersonaConfig, PhrasesConfig
from halfsecond.config.browser import GatewayConfig, KioskConfig
from halfsecond.config.hearing import AsrConfig, EchoConfig, EndpointConfig, TurnConfig, VadConfig
from halfsecond.config.machine import (
    LogConfig,
    MemoryConfig,
    ModelsConfig,
    ServerConfig,
    StagesConfig,
    ThermalConfig,
)
from halfsecond.config.section import Section
from halfsecond.config.speaking import FaceConfig, TtsConfig
from halfsecond.config.uploads import UploadsConfig


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    server: ServerConfig = ServerConfig()
    turn: TurnConfig = TurnConfig()
    vad: VadConfig = VadConfig()
    echo: EchoConfig = EchoConfig()
    endpoint: EndpointConfig = EndpointConfig()
    asr: AsrConfig = AsrConfig()
    llm: LlmConfig = LlmConfig()
    persona: PersonaConfig = PersonaConfig()
    phrases: PhrasesConfig = PhrasesConfig()
    tts: TtsConfig = TtsConfig()
    face: FaceConfig = FaceConfig()
    stages: StagesConfig = StagesConfig()
    thermal: ThermalConfig = ThermalConfig()
    memory: MemoryConfig = MemoryConfig()
    models: ModelsConfig = ModelsConfig()
    log: LogConfig = LogConfig()
    gateway: GatewayConfig = GatewayConfig()
    kiosk: KioskConfig = KioskConfig()
    uploads: UploadsConfig = UploadsConfig()
    language: str = "en"
