"""Which network a checkpoint is of, by names and shapes alone."""

from __future__ import annotations

from math import prod

import pytest

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.wav2lip.layout import LAYOUTS, PUBLISHED, Layout, recognise


def test_the_published_layout_has_the_published_number_of_parameters() -> None:
    trained = {k: s for k, s in PUBLISHED.shapes().items() if ".running_" not in k}
    assert sum(map(prod, trained.values())) == 36_298_035


def test_names_and_shapes_are_those_of_the_published_checkpoints() -> None:
    shapes = PUBLISHED.shapes()
    assert shapes["face_encoder_blocks.0.0.conv_block.0.weight"] == (16, 6, 7, 7)
    assert shapes["face_decoder_blocks.1.0.conv_block.0.weight"] == (1024, 512, 3, 3)
    assert shapes["audio_encoder.12.conv_block.1.running_var"] == (512,)
    assert shapes["output_block.1.weight"] == (3, 32, 1, 1)


@pytest.mark.parametrize("width", [1.0, 0.25, 0.0625])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda at: f"{at.patch_px}-{at.has_prelu}")
def test_every_layout_is_known_again_at_any_width(layout: Layout, width: float) -> None:
    found = recognise(layout.narrowed(width).shapes(), source="x.pth")
    assert (found.patch_px, found.has_prelu) == (layout.patch_px, layout.has_prelu)
    assert found.width == width


def test_the_features_of_the_face_fit_the_decoder_at_every_width() -> None:
    for layout in LAYOUTS:
        for width in (1.0, 0.3125, 0.0625):
            narrow = layout.narrowed(width)
            skips = [*(block[-1].outputs for block in reversed(narrow.face_encoder)), 6]
            for block, after, skip in zip(
                narrow.face_decoder,
                [*narrow.face_decoder[1:], (narrow.output[0],)],
                skips,
                strict=False,
            ):
                assert block[-1].outputs + skip == after[0].inputs


def test_another_network_is_refused_with_what_was_found_and_what_is_known() -> None:
    syncnet = {"face_encoder.0.conv_block.0.weight": (32, 15, 7, 7), "module.x": (1,)}
    with pytest.raises(UnsupportedModelError, match="face_encoder, module") as refusal:
        recognise(syncnet, source="lipsync_expert.pth")
    assert "expected face_encoder_blocks, audio_encoder" in str(refusal.value)
    assert "not the discriminator or SyncNet" in str(refusal.value)


def test_a_generator_with_one_layer_of_another_kind_says_which() -> None:
    shapes = PUBLISHED.shapes() | {"output_block.0.conv_block.0.weight": (32, 96, 3, 3)}
    with pytest.raises(UnsupportedModelError, match="96 px at width 1, with 1 differences") as err:
        recognise(shapes, source="wav2lip.pth")
    assert "output_block.0.conv_block.0.weight is 32×96×3×3, expected 32×80×3×3" in str(err.value)


def test_a_generator_with_layers_more_and_less_is_refused() -> None:
    shapes = dict(PUBLISHED.shapes())
    del shapes["face_decoder_blocks.6.2.conv_block.0.bias"]
    shapes["sam.sa.conv1.weight"] = (1, 2, 7, 7)
    with pytest.raises(UnsupportedModelError, match="with 2 differences") as refusal:
        recognise(shapes, source="wav2lip.pth")
    assert "6.2.conv_block.0.bias is absent, expected 64" in str(refusal.value)
    assert "sam.sa.conv1.weight is 1×2×7×7, expected absent" in str(refusal.value)


def test_a_width_that_leaves_parts_of_channels_is_refused() -> None:
    shapes = PUBLISHED.shapes() | {"audio_encoder.12.conv_block.0.weight": (500, 500, 1, 1)}
    with pytest.raises(UnsupportedModelError, match=r"500 channels .* a multiple of 32"):
        recognise(shapes, source="wav2lip.pth")
