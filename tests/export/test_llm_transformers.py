"""Every family against Hugging Face's transformers; runs where torch and transformers are.

`python tests/export/test_llm_transformers.py` writes `data/llm_logits.npz` anew.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.hugging_face_models import CONFIGS, GOLDEN_COLUMNS, GOLDEN_ROWS, PROMPT, write_model
from halfsecond_export.llm.hugging_face import read_hugging_face
from halfsecond_export.llm.source import open_source
from halfsecond_export.prepare.decoder_pass import logits

GOLDEN = Path(__file__).parent / "data" / "llm_logits.npz"


def transformers_logits(directory: Path, tokens: list[int]) -> Any:
    """Logits (tokens, vocabulary), with attention computed the plain way."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, attn_implementation="eager", dtype=torch.float32
    ).eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_reading_of_a_family_is_that_of_transformers(name: str, tmp_path: Path) -> None:
    directory = write_model(name, tmp_path / name)
    expected = transformers_logits(directory, PROMPT)
    model, _ = read_hugging_face(directory)
    found = logits(model.network, model.architecture, PROMPT)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
    golden = np.load(GOLDEN)[name]
    np.testing.assert_allclose(
        expected[list(GOLDEN_ROWS), GOLDEN_COLUMNS], golden, atol=2e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"alpha_pattern": {"up_proj": 7}}])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_merged_adapter_is_that_of_peft(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    directory = write_model(name, tmp_path / name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, attn_implementation="eager", dtype=torch.float32
    )
    config = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules="all-linear", init_lora_weights=False, **options
    )
    adapted = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        expected = adapted(torch.tensor([PROMPT])).logits[0].numpy()
    adapted.save_pretrained(tmp_path / "lora")
    merged = open_source(directory, lora=tmp_path / "lora").model
    found = logits(merged.network, merged.architecture, PROMPT)
    np.testing.assert_allclose(found, expected, atol=5e-4 * np.abs(expected).max())


def _write_golden() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: transformers_logits(write_model(name, Path(folder) / name), PROMPT)[
                list(GOLDEN_ROWS), GOLDEN_COLUMNS
            ]
            for name in CONFIGS
        }
    np.savez_compressed(GOLDEN, **found)
    sys.stdout.write(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes\n")


if __name__ == "__main__":
    _write_golden()
