// Asks a halfsecond server: node ask.mjs ADDRESS (QUESTION.wav | "QUESTION")
//
// Writes the answer to answer.wav and its pictures to 000.jpg, 001.jpg ..., numbered by their time.
// It needs `npm install` in this folder; docs/wire.md explains every message.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const [address, question] = process.argv.slice(2);
const nowS = () => performance.now() / 1000;

/** Rate, channels and samples of a WAV file of 16 bit, which is a list of chunks. */
function readWav(path) {
  const data = readFileSync(path);
  const wav = {};
  for (let at = 12; at + 8 <= data.length; ) {
    const name = data.toString("latin1", at, at + 4);
    const bytes = data.readUInt32LE(at + 4);
    if (name === "fmt ") {
      wav.channels = data.readUInt16LE(at + 10);
      wav.rateHz = data.readUInt32LE(at + 12);
    }
    if (name === "data") wav.pcm = data.subarray(at + 8, at + 8 + bytes);
    at += 8 + bytes + (bytes % 2);
  }
  return wav;
}

function writeWav(path, pcm, rateHz) {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + pcm.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16); // bytes of what follows: PCM, 1 channel, rate, bytes a second, 2, 16
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rateHz, 24);
  head.writeUInt32LE(rateHz * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(pcm.length, 40);
  writeFileSync(path, Buffer.concat([head, pcm]));
}

const socket = new Dealer({
  linger: 0,
  immediate: true,
  receiveHighWaterMark: 256,
  sendTimeout: 5000,
  receiveTimeout: 5000, // the server answers `clock`; silent for this long, it is gone
});
socket.connect(address);

// zeromq takes one send at a time, so each waits for the last one.
let lastSend = Promise.resolve();
function send(type, fields = {}, payload = Buffer.alloc(0)) {
  lastSend = lastSend.then(() => socket.send([encode({ type, ...fields }), payload]));
  lastSend.catch(giveUp);
  return lastSend;
}

function giveUp(reason) {
  console.error(`${address}: ${reason.code === "EAGAIN" ? "no server answers" : reason}`);
  process.exit(1);
}

/** Blocks of 20 ms at the pace of real time, as a microphone gives them. */
async function speak(wav) {
  const blockBytes = Math.floor(wav.rateHz / 50) * wav.channels * 2;
  const startedS = nowS();
  for (let seq = 0; seq * blockBytes < wav.pcm.length; seq += 1) {
    send("audio", { seq }, wav.pcm.subarray(seq * blockBytes, (seq + 1) * blockBytes));
    await sleep(Math.max(0, startedS + (seq + 1) / 50 - nowS()) * 1000);
  }
  send("end_of_audio");
}

async function ask() {
  const wav = question.endsWith(".wav") ? readWav(question) : null;
  const microphone = wav && { audio_rate_hz: wav.rateHz, audio_channels: wav.channels };
  send("hello", { v: 1, client: "ask.mjs", wants_idle: false, credit: 25, ...microphone });

  const sound = [];
  let [welcome, generation, turn, soundBytes, playedFromS] = [null, 0, 0, 0, 0];
  const alive = setInterval(() => {
    send("clock", { client_s: nowS() });
    if (!turn) return;
    const lengthS = soundBytes / 2 / welcome.speech_rate_hz; // a player asks its sound card instead
    send("playhead", { turn, pts: Math.min(nowS() - playedFromS, lengthS) });
  }, 250);

  for await (const [header, payload] of socket) {
    const message = decode(header);
    generation = Math.max(generation, message.generation);
    if (message.type === "video") send("credit", { frames: 1 });
    if (message.generation < generation) continue; // of an answer that was interrupted
    if (message.type === "welcome") {
      welcome = message;
      if (wav) speak(wav);
      else send("text", { text: question });
    } else if (["busy", "bye", "error"].includes(message.type)) {
      throw new Error(JSON.stringify(message));
    } else if (["transcript", "answer"].includes(message.type)) {
      console.log(`${message.type}: ${message.text}`);
    } else if (message.type === "audio") {
      if (!turn) playedFromS = nowS();
      turn = message.turn;
      sound.push(payload);
      soundBytes += payload.length;
    } else if (message.type === "video" && message.turn) {
      const number = Math.round(message.pts * welcome.fps);
      writeFileSync(`${String(number).padStart(3, "0")}.jpg`, payload);
    } else if (message.type === "turn_end") {
      break;
    }
  }
  clearInterval(alive);
  await send("bye");
  await sleep(20); // `linger` is 0
  writeWav("answer.wav", Buffer.concat(sound), welcome.speech_rate_hz);
  process.exit(0);
}

ask().catch(giveUp);
