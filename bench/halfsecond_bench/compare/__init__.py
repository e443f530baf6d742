"""`bench compare`: the same questions to this project and to what people build otherwise.

Ratios against other people's work are easily unfair, so this is what is held equal, and where a
choice had to be made, it was made for the other side.

*The same for all.* One machine, one process after another: while one side answers, no other has a
session open. The same recordings, the same labelled last sample of speech, the same threshold of
-45 dBFS for what is heard. The same weights in INT8: Whisper tiny.en, SmolLM2-135M and hibari as
the catalog pins them. How a model is run is each side's own: the others run SmolLM2 on CTranslate2
as is usual (`--others-llm` gives them another, ours too), and we run what the config says. Every
side takes its turn on each recording before the next one comes, in an order that moves on by one,
so that another load on the machine meets all of them. One turn to warm up is not counted. Each
turn is a visitor of its own: no side has a history.

*The answer's text.* Every side runs the real language model on the messages that our persona
makes of what that side heard, greedily, so that the same words heard give the same answer. Who
hears other words may answer other ones; ratios are taken over those pairs of turns whose answers
are the same words, and the report lists the others. The opening of the conversation, which is the
same for every question, is in every side's cache beforehand.

*Thread counts.* Ours are those of the config. The others' are measured at the start of the run,
each model alone, and the fastest is taken.

*The sequential recipe* (`sequential.py`) is what most tutorials for a talking head show: whole
transcription in Whisper's 30 s, whole answer, whole speech, every frame through Wav2Lip in fp32,
then play. For it: recognition is greedy; Wav2Lip runs on ONNX Runtime; the face is found
beforehand; no film is encoded or written; nothing is sent over a wire; and its end of turn is
ideal, at exactly `PAUSE_THRESHOLD_S` after the label. Wav2Lip has the published architecture with
random weights on both sides: the same work, not a mouth to look at.

*The voice pipeline* (`pipecat_voice.py`) is pipecat with its default turn strategies, and has no
face. It runs in the harness's own process, which spares it the wire that our side pays for.

*Ours* is the real server as its own process, over its real wire, with the config as it is.

*The wait for the end of the turn* is part of what a visitor waits, and also a setting. So each
ratio to the sequential recipe is given three times: as measured; with the recipe given the same
wait as our side had in that turn; and with the waits taken off both, ours counted from the start
of the recognition that the answer rests on (held back until the turn is sure or not), theirs
from its first model call.
"""
