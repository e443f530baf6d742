"""From config sections to loaded models; top-level functions, so that stages stay picklable."""

from __future__ import annotations

from pathlib import Path

from halfsecond.assets import asset
from halfsecond.config import Config, FaceConfig, LlmConfig, TtsConfig
from halfsecond.errors import ConfigError
from halfsecond.models.lipsync.driver import LipSync
from halfsecond.models.llm.answerer import Answerer
from halfsecond.models.llm.persona import Persona
from halfsecond.models.tts.voice import Voice
