"""The generators that are known, layer by layer, and which of them a checkpoint is.

Strides and padding are not in a checkpoint, so a network is known by its layers' names and shapes.
Sources: 96 `models/wav2lip.py` in Rudrabha/Wav2Lip; 288 `models/wav2lipv2.py` in
primepake/wav2lip_288x288 (its first revisions have a PReLU where the others have a ReLU); 256 the
network that several digital-human servers load as `wav2lip256.pth`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from halfsecond.errors import UnsupportedModelError

WIDTH_STEP = 1 / 16
"""The narrowest layer of the published network has 16 channels; a width leaves whole ones."""
_FIXED_CHANNELS = (1, 3, 6)
"""Of the sound and of the pictures, whatever the width."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One convolution with its batch normalisation and activation, at the published width."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    padding: int = 1
    is_residual: bool = False
    is_transposed: bool = False
    output_padding: int = 0
    has_norm: bool = True


@dataclass(frozen=True)
class Layout:
    """A generator at the published width (1.0), or a narrower one after `narrowed`."""

    patch_px: int
    """Side of its square pictures."""
    face_encoder: tuple[tuple[Layer, ...], ...]
    audio_encoder: tuple[Layer, ...]
    face_decoder: tuple[tuple[Layer, ...], ...]
    output: tuple[Layer, Layer]
    width: float = 1.0
    has_prelu: bool = False

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """Every layer by the name that checkpoints give it, in the order of the forward pass."""
        for b, block in enumerate(self.face_encoder):
            for i, layer in enumerate(block):
                yield f"face_encoder_blocks.{b}.{i}", layer
        for i, layer in enumerate(self.audio_encoder):
            yield f"audio_encoder.{i}", layer
        for b, block in enumerate(self.face_decoder):
            for i, layer in enumerate(block):
                yield f"face_decoder_blocks.{b}.{i}", layer
        for i, layer in enumerate(self.output):
            yield f"output_block.{i}", layer

    def narrowed(self, width: float) -> Layout:
        """The same network with its channels multiplied by `width`."""

        def narrow(layer: Layer) -> Layer:
            return replace(
                layer,
                inputs=_channels(layer.inputs, width),
                outputs=_channels(layer.outputs, width),
            )

        first, last = self.output
        return replace(
            self,
            face_encoder=tuple(tuple(map(narrow, block)) for block in self.face_encoder),
            audio_encoder=tuple(map(narrow, self.audio_encoder)),
            face_decoder=tuple(tuple(map(narrow, block)) for block in self.face_decoder),
            output=(narrow(first), narrow(last)),
            width=width,
        )

    def shapes(self) -> dict[str, Shape]:
        """The shapes of a checkpoint's tensors by name, without the counters of batches."""
        found: dict[str, Shape] = {}
        for name, layer in self.layers():
            convolution = f"{name}.conv_block.0" if layer.has_norm else name
            ends = (layer.inputs, layer.outputs)
            sides = ends if layer.is_transposed else ends[::-1]
            found[f"{convolution}.weight"] = (*sides, layer.kernel, layer.kernel)
            found[f"{convolution}.bias"] = (layer.outputs,)
            if layer.has_norm:
                for part in ("weight", "bias", "running_mean", "running_var"):
                    found[f"{name}.conv_block.1.{part}"] = (layer.outputs,)
            if layer.has_norm and self.has_prelu:
                found[f"{name}.act.weight"] = (1,)
        return found


def _channels(published: int, width: float) -> int:
    return published if published in _FIXED_CHANNELS else round(published * width)


def _same(channels: int, count: int) -> tuple[Layer, ...]:
    return (Layer(channels, channels, is_residual=True),) * count


def _down(inputs: int, outputs: int, residuals: int) -> tuple[Layer, ...]:
    return (Layer(inputs, outputs, stride=(2, 2)), *_same(outputs, residuals))


def _up(
    inputs: int, outputs: int, residuals: int = 2, *, output_padding: int = 1
) -> tuple[Layer, ...]:
    up = Layer(inputs, outputs, stride=(2, 2), is_transposed=True, output_padding=output_padding)
    return (up, *_same(outputs, residuals))


def _opening(kernel: int) -> tuple[Layer, ...]:
    """From one pixel to kernel × kernel of them."""
    first = Layer(1024, 512, kernel=kernel, padding=0, is_transposed=True)
    return (first, *_same(512, 1))


def _closing(kernel: int) -> tuple[Layer, ...]:
    return (Layer(512, 512, kernel=kernel, padding=0), _POINT)


_POINT = Layer(512, 512, kernel=1, padding=0)
_FIRST = Layer(6, 16, kernel=7, padding=3)
_AUDIO = (
    Layer(1, 32),
    *_same(32, 2),
    Layer(32, 64, stride=(3, 1)),
    *_same(64, 2),
    Layer(64, 128, stride=(3, 3)),
    *_same(128, 2),
    Layer(128, 256, stride=(3, 2)),
    *_same(256, 1),
    Layer(256, 512, padding=0),
    _POINT,
)
_OUTPUT = (Layer(80, 32), Layer(32, 3, kernel=1, padding=0, has_norm=False))
_LAST_UPS = (_up(768, 384), _up(512, 256), _up(320, 128), _up(160, 64))

PUBLISHED = Layout(
    patch_px=96,
    face_encoder=(
        (_FIRST,),
        _down(16, 32, 2),
        _down(32, 64, 3),
        _down(64, 128, 2),
        _down(128, 256, 2),
        _down(256, 512, 1),
        _closing(3),
    ),
    audio_encoder=_AUDIO,
    face_decoder=((_POINT,), _opening(3), _up(1024, 512), *_LAST_UPS),
    output=_OUTPUT,
)
_256 = Layout(
    patch_px=256,
    face_encoder=(
        (_FIRST,),
        _down(16, 32, 2),
        _down(32, 64, 3),
        _down(64, 128, 2),
        _down(128, 256, 2),
        _down(256, 512, 1),
        _down(512, 512, 1),
        _closing(4),
    ),
    audio_encoder=_AUDIO,
    face_decoder=((_POINT,), _opening(4), _up(1024, 512, 1), _up(1024, 512), *_LAST_UPS),
    output=_OUTPUT,
)
_288 = Layout(
    patch_px=288,
    face_encoder=(
        (_FIRST,),
        (Layer(16, 32, kernel=5, stride=(2, 2), padding=2), *_same(32, 1)),
        _down(32, 32, 2),
        _down(32, 64, 3),
        _down(64, 128, 2),
        _down(128, 256, 2),
        _down(256, 512, 1),
        _closing(3),
        _closing(3),
    ),
    audio_encoder=_AUDIO,
    face_decoder=(
        (_POINT,),
        _opening(3),
        _up(1024, 512, output_padding=0),
        _up(1024, 512, output_padding=0),
        *_LAST_UPS,
        _up(96, 64),
    ),
    output=_OUTPUT,
)
LAYOUTS = (PUBLISHED, _256, replace(_288), replace(_288, has_prelu=True))
"""Those that a checkpoint may be of, each at any width."""


def recognise(shapes: Mapping[str, Shape], *, source: str) -> Layout:
    """The layout, at its width, whose tensors have exactly these names and shapes.

    shapes: of a state dict, without `module.` and without `num_batches_tracked`.
    source: what messages call the checkpoint.

    Raises:
        UnsupportedModelError: none has; the message says what is nearest and what differs.
    """
    width = _width(shapes, source)
    candidates = [layout.narrowed(width) for layout in LAYOUTS]
    differences = [_differences(shapes, layout.shapes()) for layout in candidates]
    best = min(range(len(candidates)), key=lambda at: len(differences[at]))
    if not differences[best]:
        return candidates[best]
    shown = "; ".join(differences[best][:3])
    raise UnsupportedModelError(
        f"{source} is no generator that is known. Nearest is the one for "
        f"{candidates[best].patch_px} px at width {width:g}, with {len(differences[best])} "
        f"differences: {shown}. Known: {_known()}. Export it to ONNX with the code that it was "
        "trained with; the runtime takes any ONNX file with Wav2Lip's inputs and output"
    )


def _known() -> str:
    return ", ".join(
        f"{layout.patch_px} px{' with PReLU' if layout.has_prelu else ''}" for layout in LAYOUTS
    )


def _width(shapes: Mapping[str, Shape], source: str) -> float:
    """By the sound's features: 512 × the width in every layout."""
    name = f"audio_encoder.{len(_AUDIO) - 1}.conv_block.0.weight"
    if name not in shapes:
        found = ", ".join(sorted({key.split(".")[0] for key in shapes})[:8]) or "no tensors"
        raise UnsupportedModelError(
            f"{source} is no Wav2Lip generator: it has {found}; expected face_encoder_blocks, "
            f"audio_encoder (with {name}), face_decoder_blocks and output_block. Give the "
            "generator (wav2lip.pth, wav2lip_gan.pth), not the discriminator or SyncNet"
        )
    width = shapes[name][0] / 512
    if width % WIDTH_STEP:
        raise UnsupportedModelError(
            f"{source} has {shapes[name][0]} channels in {name}; expected a multiple of "
            f"{int(512 * WIDTH_STEP)} (512 at the published width)"
        )
    return width


def _differences(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> list[str]:
    return [
        f"{name} is {_shape(found.get(name))}, expected {_shape(expected.get(name))}"
        for name in dict.fromkeys((*expected, *found))
        if found.get(name) != expected.get(name)
    ]


def _shape(shape: Shape | None) -> str:
    return "absent" if shape is None else "×".join(map(str, shape))
