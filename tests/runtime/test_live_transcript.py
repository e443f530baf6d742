"""Real speech that is transcribed while it is spoken, against the whole of it at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.audio import load
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.asr.words import same_words
from halfsecond.stages.asr import AsrRequest, AsrStage
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel
from halfsecond.stages.transcribing import LiveTranscript
from halfsecond_bench.clips import load_clips
from halfsecond_bench.live_transcripts import joined
from halfsecond_bench.wer import word_errors

pytestmark = pytest.mark.models
ModelDir = Callable[[str], Path]
Samples = NDArray[np.float32]

RATE_HZ = 16_000


class CountingAsr(AsrStage):
    """Whisper, and how much audio it encoded for each request."""

    def __init__(self, model: Path) -> None:
        super().__init__(model, threads=1, margin_s=1.0)
        self.encoded_s: list[float] = []

    def run(self, request: AsrRequest, cancel: Cancel) -> Iterator[Transcript]:
        for transcript in super().run(request, cancel):
            self.encoded_s.append(transcript.context_s)
            yield transcript


@pytest.fixture
async def counting(model_dir: ModelDir) -> AsyncIterator[CountingAsr]:
    stage = CountingAsr(model_dir("whisper-tiny.en"))
    yield stage


@pytest.fixture(scope="module")
def whisper(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-tiny.en"))
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def monologue(clips_dir: Path) -> tuple[Samples, str]:
    """Some 20 s of one reader, joined from clips, and the words."""
    reader = [clip for clip in load_clips(clips_dir) if clip.file.startswith("librivox")]
    utterance = joined(reader, 22, first=0)
    assert 18 < utterance.length_s <= 22
    return utterance.samples, utterance.reference


async def transcribe(stage: CountingAsr, samples: Samples, *, is_live: bool) -> str:
    """The final transcript, with or without partials at every tenth of a second that is due."""
    asr = LocalStage(stage)
    await asr.open()
    try:
        live = LiveTranscript(asr, language="en")
        for heard in range(0, len(samples) if is_live else 0, RATE_HZ // 10):
            await live.partial(samples[:heard])
        final = await live.final(samples, Cancel())
    finally:
        await asr.close()
    assert final is not None
    return final.text


async def test_the_end_of_a_monologue_costs_only_its_tail_and_no_words(
    counting: CountingAsr, monologue: tuple[Samples, str]
) -> None:
    samples, reference = monologue
    live = await transcribe(counting, samples, is_live=True)
    assert counting.encoded_s[-1] <= 8
    assert max(counting.encoded_s) <= 9
    whole = await transcribe(counting, samples, is_live=False)
    assert counting.encoded_s[-1] > 18
    errors = word_errors([(reference, live)])
    assert errors.errors <= word_errors([(reference, whole)]).errors
    assert errors.rate < 0.08


async def test_a_sentence_is_cut_without_losing_or_repeating_a_word(
    counting: CountingAsr, clips_dir: Path
) -> None:
    samples = load(clips_dir / "jfk.flac").samples
    live = await transcribe(counting, samples, is_live=True)
    assert same_words(
        live,
        "And so my fellow Americans, ask not what your country can do for you, "
        "ask what you can do for your country.",
    )
    assert counting.encoded_s[-1] <= 8


async def test_a_short_question_is_heard_once(counting: CountingAsr, clips_dir: Path) -> None:
    samples = load(clips_dir / "close.flac").samples
    assert await transcribe(counting, samples, is_live=True) == "When does the museum close today?"
    assert len(counting.encoded_s) == 1


async def test_a_cough_after_a_long_question_adds_no_words(
    counting: CountingAsr, clips_dir: Path
) -> None:
    spoken = load(clips_dir / "jfk.flac").samples
    coughed = np.concatenate([spoken, load(clips_dir / "cough.flac").samples])
    live = await transcribe(counting, coughed, is_live=True)
    assert live.lower().rstrip(".").endswith("what you can do for your country")


def test_known_words_are_neither_repeated_nor_is_the_next_one_lost(
    whisper: Whisper, clips_dir: Path
) -> None:
    samples = load(clips_dir / "jfk.flac").samples
    for known, rest in [
        (" And so, my fellow Americans,", "ask not what your country can do for you"),
        (" And so my fellow Americans ask not what your", "country can do for you"),
    ]:
        heard = whisper.transcribe(samples, begins_with=known, prompt="A speech.", has_times=True)
        assert heard.text.startswith(" ")
        assert heard.text.strip().lower().startswith(rest)
        assert "".join(word.text for word in heard.words) == known + heard.text


def test_words_have_the_time_at_which_they_are_said(whisper: Whisper, clips_dir: Path) -> None:
    """The pauses of this speech are at 2.4 to 3.3 s, 4.4 to 5.4 s and 7.6 to 8.1 s."""
    samples = load(clips_dir / "jfk.flac").samples
    words = whisper.transcribe(samples, has_times=True).words
    starts_s = [word.start_s for word in words]
    assert starts_s == sorted(starts_s)
    at_s = {word.text.strip(" .,"): word.start_s for word in words}
    assert 1.4 < at_s["Americans"] < 2.3
    assert 3.2 < at_s["not"] < 4.4
    assert 9.7 < at_s["country"] < 10.6
    assert whisper.transcribe(samples).words == ()


def test_a_long_prompt_leaves_room_for_the_words(whisper: Whisper, clips_dir: Path) -> None:
    samples = load(clips_dir / "close.flac").samples
    before = "Good morning, we came all the way from Chicago to see the rock from the moon. " * 8
    heard = whisper.transcribe(samples, prompt=before)
    assert same_words(heard.text, "When does the museum close today?")


def test_nothing_new_is_heard_where_only_known_words_were_said(
    whisper: Whisper, clips_dir: Path
) -> None:
    samples = load(clips_dir / "close.flac").samples
    heard = whisper.transcribe(samples, begins_with=" When does the museum close today?")
    assert heard.text.strip() == ""
