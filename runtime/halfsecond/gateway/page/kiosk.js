// The kiosk: puts link, loudspeaker, microphone and face together.

import { OpusCodec, PcmCodec, hasOpus } from "./codec.js";
import { Face } from "./face.js";
import { Link, fetchJson, takeToken } from "./link.js";
import { Microphone, USUAL_RATE_HZ } from "./microphone.js";
import { Photo } from "./photo.js";
import { Player } from "./player.js";
import { Rtc } from "./rtc.js";
import { Screen } from "./screen.js";

const CREDIT = 12; // pictures under way: half a second, so that sound never waits behind them
const RETRY_MS = 1000;
const EXPIRED = 4001;
const BUSY = 1013;

class Kiosk {
  constructor(settings, token) {
    this.settings = settings;
    this.token = token;
    this.session = "";
    this.generation = 0;
    this.phase = "away";
    this.turn = 0;
    this.isRtc = false;
    this.rateHz = 0; // that the session was told
    this.stamps = {}; // of each turn, on the page's own clock
    this.reported = null; // what was measured of the last turn
    this.restTimer = 0;
    this.hasVisitor = false;
    this.screen = new Screen(settings, {
      ask: (text) => this.ask(text),
      stop: () => this.stop(),
      language: () => this.begin(), // the photo's words follow with the welcome
      mute: (isMuted) => (this.microphone.isMuted = isMuted),
      touch: () => this.onTouch(),
      retry: () => this.openMicrophone(),
    });
    this.photo = new Photo(token, {
      words: () => this.screen.text,
      notice: (key, detail) => this.screen.notice("photo", key, detail),
      used: () => this.onPhoto(),
      removed: () => this.begin(),
    });
    this.player = new Player(
      (turn, pts, at) => this.onHeard(turn, pts, at),
      (turn, at) => this.stamp(turn, "page_first_audio", at),
    );
    this.face = new Face(
      document.querySelector("#face"),
      document.querySelector("#backdrop"),
      this.player,
      (frames) => this.link.send({ type: "credit", frames }),
      (turn, at) => this.stamp(turn, "page_first_frame", at),
    );
    this.screen.watchFloor((px) => (this.face.floor = px));
    const wished = new URLSearchParams(location.search).get("sound") ?? settings.sound;
    const Codec = wished === "opus" && hasOpus() ? OpusCodec : PcmCodec;
    this.codec = new Codec(
      (packet) => this.link.sendSound(packet),
      (header, samples) => this.onSamples(header, samples),
    );
    this.microphone = new Microphone(
      (pcm, rms) => this.hear(pcm, rms),
      (fault) => this.screen.notice("microphone", fault),
    );
    this.events = {
      open: () => this.begin(),
      closed: (code, reason) => this.onClosed(code, reason),
      message: (message) => this.on(message),
      sound: (header, payload) => this.onSound(header, payload),
      picture: (header, payload) => this.onPicture(header, payload),
    };
    this.link = new Link(token, this.events);
  }

  async start() {
    setInterval(() => this.showClause(), 40);
    const wished = new URLSearchParams(location.search).get("transport") ?? this.settings.transport;
    if (wished !== "webrtc" || !(await this.startRtc())) this.link.connect();
    await this.openMicrophone();
  }

  /** Whether WebRTC leads to the gateway; where it does not, the WebSocket does. */
  async startRtc() {
    await this.openMicrophone();
    const live = document.querySelector("#live");
    const rtc = new Rtc(this.token, this.settings.ice_servers, live, this.events);
    const link = this.link;
    this.link = rtc;
    try {
      await rtc.connect(this.microphone.stream);
    } catch (error) {
      console.warn("webrtc", error);
      rtc.close();
      this.link = link;
      this.screen.notice("turn", "fallback");
      return false;
    }
    this.face.follow(live);
    this.isRtc = true;
    return true;
  }

  async openMicrophone() {
    if (!this.settings.has_microphone) return;
    await this.microphone.open();
    if (this.microphone.rateHz && this.microphone.rateHz !== this.rateHz && this.link.isOpen) this.begin();
    this.screen.isLocked = this.microphone.isLocked || this.player.isLocked;
  }

  /** Opens a session; the one that was is forgotten. */
  begin() {
    this.generation = 0;
    this.player.restart();
    this.face.restart();
    this.rateHz = this.microphone.rateHz || USUAL_RATE_HZ;
    this.link.send({
      type: "hello",
      client: "halfsecond kiosk",
      language: this.screen.language,
      avatar: new URLSearchParams(location.search).get("avatar"),
      fps: Number(new URLSearchParams(location.search).get("fps")) || null,
      audio_rate_hz: this.rateHz,
      sound: this.isRtc ? "pcm" : this.codec.name,
      credit: CREDIT,
    });
  }

  // What the gateway says.

  on(message) {
    this.raise(message.generation ?? 0);
    switch (message.type) {
      case "welcome":
        return this.onWelcome(message);
      case "away":
        return this.onAway(message);
      case "busy":
        this.screen.notice("server", "busy");
        return undefined;
      case "error":
        return this.onError(message);
      case "state":
        return this.onState(message);
      case "transcript":
        return this.screen.heard(message.text, message.is_final);
      case "answer":
        return this.screen.queue(message);
      case "pause":
        return this.player.pause();
      case "resume":
        return this.player.resume();
      case "turn_end":
        return this.onTurnEnd(message);
      default:
        return undefined; // later gateways may say more
    }
  }

  /** A higher generation makes everything older void. */
  raise(generation) {
    if (generation <= this.generation) return;
    this.generation = generation;
    this.player.drop(generation);
    this.face.drop(generation);
    this.screen.drop(generation);
  }

  async onWelcome(welcome) {
    this.session = welcome.session;
    this.generation = 0;
    this.player.restart();
    this.face.restart();
    this.screen.questions = welcome.questions;
    this.screen.notice("server", null);
    this.screen.clear();
    this.screen.notice("photo", null);
    this.photo.ticket = this.settings.takes_photos ? (welcome.upload ?? "") : "";
    this.hasVisitor = false;
    this.setPhase("idle");
    if (!this.isRtc) await this.player.open(this.codec.rateOf(welcome.speech_rate_hz));
    this.screen.isLocked = this.player.isLocked || this.microphone.isLocked;
  }

  onAway({ reason }) {
    this.setPhase("away");
    this.screen.notice("server", "serverAway", reason);
  }

  async onClosed(code) {
    this.setPhase("away");
    if (code === EXPIRED || code === BUSY) return; // the next connection comes by itself
    this.screen.notice("server", "gatewayAway");
    try {
      await fetchJson("api/kiosk", this.token);
    } catch (error) {
      this.screen.notice("server", ...explain(error));
    }
  }

  onError({ code, message, is_fatal }) {
    console.warn(code, message);
    if (code === "microphone_stopped") this.screen.notice("turn", "microphoneStopped");
    else if (code === "stage_failed" || code === "internal") this.screen.notice("turn", "failed", message);
    else if (is_fatal) {
      this.screen.notice("server", "cannotOpen", message);
      setTimeout(() => this.begin(), RETRY_MS);
    }
  }

  onState({ state, turn }) {
    this.setPhase(state);
    if (state === "thinking" || state === "listening") this.screen.notice("turn", null);
    if (turn) this.turn = turn;
  }

  setPhase(phase) {
    this.phase = phase;
    this.screen.phase = phase;
    clearTimeout(this.restTimer);
    if (phase === "listening" || phase === "thinking") this.hasVisitor = true;
    if (phase === "idle" && this.hasVisitor) {
      this.restTimer = setTimeout(() => this.rest(), 1000 * this.settings.rest_after_s);
    }
  }

  /** The visitor has left: the screen is as it was, and a new session remembers nothing. */
  rest() {
    this.hasVisitor = false;
    this.screen.rest();
    this.begin();
  }

  onSound(header, payload) {
    if (header.generation >= this.generation) this.codec.decode(header, payload);
  }

  onSamples(header, samples) {
    if (header.session === this.session) this.player.add(header, samples);
  }

  onPicture(header, payload) {
    this.raise(header.generation);
    this.face.add(header, payload);
  }

  onTurnEnd({ turn, reason, marks }) {
    this.player.whole(turn);
    if (reason !== "complete" || !marks.first_audio_sent) return;
    this.report(turn);
  }

  // What the visitor does.

  hear(pcm, rms) {
    if (this.link.isOpen && !this.isRtc) this.codec.encode(pcm);
    this.screen.level = Math.min(1, 6 * rms);
  }

  ask(text) {
    this.hasVisitor = true;
    this.player.unlock();
    this.screen.heard(text, true);
    this.link.send({ type: "text", text });
  }

  stop() {
    this.player.drop(this.generation + 1);
    this.link.send({ type: "interrupt" });
  }

  /** Somebody is there, whose photo is to go when they do. */
  onPhoto() {
    this.hasVisitor = true;
    this.setPhase(this.phase);
  }

  async onTouch() {
    await Promise.all([this.player.unlock(), this.microphone.unlock()]);
    if (this.isRtc) await document.querySelector("#live").play();
    this.screen.isLocked = false;
    if (this.settings.greets && !this.hasVisitor && this.phase === "idle") {
      this.hasVisitor = true;
      this.link.send({ type: "greet" });
    }
  }

  showClause() {
    const clock = this.isRtc ? { turn: Infinity, pts: 0 } : this.player.clock();
    this.screen.say(clock);
    // The server may be done while the last words are still in the loudspeaker.
    const isHeard = !this.isRtc && clock !== null && this.phase === "idle";
    this.screen.phase = isHeard ? "speaking" : this.phase;
  }

  // What is measured.

  onHeard(turn, pts, performanceS) {
    const serverS = this.link.serverS(performanceS);
    const at_s = Number.isFinite(serverS) ? serverS : null;
    this.link.send({ type: "playhead", turn, pts, at_s, ...this.face.shown(turn) });
  }

  stamp(turn, name, performanceS) {
    this.stamps[turn] ??= {};
    this.stamps[turn][name] = performanceS;
  }

  report(turn) {
    const stamps = {};
    for (const [name, performanceS] of Object.entries(this.stamps[turn] ?? {})) {
      stamps[name] = this.link.serverS(performanceS);
    }
    this.stamps = {};
    if (!Object.values(stamps).every(Number.isFinite)) return;
    const values = { ...offsets(this.face.offsetsS.splice(0)), ...buffer(this.player.buffer) };
    this.reported = { turn, stamps, values };
    this.link.send({ type: "figures", session: this.session, ...this.reported });
  }
}

function offsets(offsetsS) {
  if (offsetsS.length === 0) return {};
  const sorted = offsetsS.map((offset) => 1000 * offset).sort((a, b) => a - b);
  const sizes = sorted.map(Math.abs).sort((a, b) => a - b);
  return {
    av_offset_ms: sorted[Math.floor(sorted.length / 2)],
    av_offset_p95_ms: sizes[Math.floor(0.95 * (sizes.length - 1))],
    pictures: offsetsS.length,
  };
}

function buffer({ targetS, underruns, latencyS }) {
  return { buffer_ms: 1000 * targetS, underruns, output_latency_ms: 1000 * latencyS };
}

/** What to tell of an answer that is none: a message's key, and what the gateway said. */
function explain({ status, message }) {
  if (status === 401 && /clock/.test(message)) return ["clock", message];
  if (status === 401 || status === 403 || status === 421) return ["access", message];
  return ["gatewayAway"];
}

async function settingsOf(token) {
  for (;;) {
    try {
      return await fetchJson("api/kiosk", token);
    } catch (error) {
      Screen.announce(...explain(error));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

const token = takeToken();
const kiosk = new Kiosk(await settingsOf(token), token);
globalThis.kiosk = kiosk; // for measurements and for curious people
await kiosk.start();
