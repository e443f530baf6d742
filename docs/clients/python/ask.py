"""Asks a halfsecond server: python ask.py ADDRESS (QUESTION.wav | "QUESTION")"""

import sys
import time
import wave
from pathlib import Path

import msgpack
import zmq

address, question = sys.argv[1:]
hello = {"v": 1, "client": "ask.py", "wants_idle": False, "credit": 25}
blocks = []  # of 20 ms
if question.endswith(".wav"):
    with wave.open(question) as wav:
        hello.update(audio_rate_hz=wav.getframerate(), audio_channels=wav.getnchannels())
        while block := wav.readframes(wav.getframerate() // 50):
            blocks.append(block)

socket = zmq.Context().socket(zmq.DEALER)
for option, value in {zmq.LINGER: 0, zmq.IMMEDIATE: 1, zmq.SNDTIMEO: 5000}.items():
    socket.setsockopt(option, value)
socket.connect(address)


def send(kind, payload=b"", **fields):
    try:
        socket.send_multipart([msgpack.packb({"type": kind, **fields}), payload])
    except zmq.Again:
        sys.exit(f"no server answers at {address}")


send("hello", **hello)
welcome, sound, generation, sent = None, b"", 0, 0
heard_s, opened_s, clock_due_s = time.monotonic(), 0.0, 0.0
answered, played_from_s = 0, 0.0
while True:
    now_s = time.monotonic()
    if now_s > heard_s + 5:
        sys.exit(f"no server answers at {address}")
    if now_s >= clock_due_s:
        send("clock", client_s=now_s)
        if answered:  # a real player asks its sound card instead
            length_s = len(sound) / 2 / welcome["speech_rate_hz"]
            send("playhead", turn=answered, pts=min(now_s - played_from_s, length_s))
        clock_due_s = now_s + 0.25
    if welcome and sent < len(blocks) and now_s >= opened_s + sent / 50:
        send("audio", blocks[sent], seq=sent)
        sent += 1
        if sent == len(blocks):
            send("end_of_audio")
    if not socket.poll(10):
        continue
    header, payload = socket.recv_multipart()
    message, heard_s = msgpack.unpackb(header), now_s
    kind = message["type"]
    generation = max(generation, message["generation"])
    if kind == "video":
        send("credit", frames=1)
    if message["generation"] < generation:
        continue  # of an answer that was interrupted
    if kind == "welcome":
        welcome, opened_s = message, now_s
        if not blocks:
            send("text", text=question)
    elif kind in ("busy", "bye", "error"):
        sys.exit(str(message))
    elif kind in ("transcript", "answer"):
        print(f"{kind}: {message['text']}")
    elif kind == "audio":
        answered, played_from_s = message["turn"], played_from_s or now_s
        sound += payload
    elif kind == "video" and message["turn"]:
        Path(f"{round(message['pts'] * welcome['fps']):03d}.jpg").write_bytes(payload)
    elif kind == "turn_end":
        break
send("bye")
time.sleep(0.02)

with wave.open("answer.wav", "wb") as wav:
    wav.setnchannels(1)
    wav.setsampwidth(2)
    wav.setframerate(welcome["speech_rate_hz"])
    wav.writeframes(sound)
