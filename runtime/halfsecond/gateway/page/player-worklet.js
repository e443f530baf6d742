// Plays an answer sample by sample, and tells which one the loudspeaker gets when.
//
// Sound comes in bursts, seconds ahead of the ear. Playback begins when `targetS` of it is there
// (or all of it), and never drops or stretches any: when it runs dry it is silent, counts that, and
// asks for more in hand the next time.

const MIN_TARGET_S = 0.04;
const MAX_TARGET_S = 0.24;
const CALMER = 0.8; // of what is asked for, at each answer
const REPORT_QUANTA = 8; // 43 ms at 24 kHz
const LOUD = 10 ** (-45 / 20); // first sound that a visitor hears, as the benchmark counts it

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = []; // { turn, generation, at: first sample's number in the turn, samples, used }
    this.targetS = MIN_TARGET_S;
    this.underruns = 0;
    this.quanta = 0;
    this.restart();
    this.port.onmessage = ({ data }) => this[data.do](data);
  }

  restart() {
    this.turn = 0;
    this.generation = 0;
    this.next = 0; // number of the turn's sample that is played next
    this.isPlaying = false;
    this.isPaused = false;
    this.isWhole = false; // everything of the turn is here
    this.hasBeenLoud = false;
    this.dryTurn = 0; // that has run dry, or is over
    this.blocks.length = 0;
  }

  add({ turn, generation, at, samples }) {
    if (generation < this.generation) return;
    if (turn === this.dryTurn) this.noteUnderrun();
    this.blocks.push({ turn, generation, at, samples, used: 0 });
  }

  // Everything older than this generation is void.
  drop({ generation }) {
    if (generation <= this.generation) return;
    this.generation = generation;
    const kept = this.blocks.filter((block) => block.generation >= generation);
    if (kept.length !== this.blocks.length || this.isPaused) {
      this.isPlaying = false;
      this.isPaused = false;
    }
    this.blocks = kept;
    this.report();
  }

  pause() {
    this.isPaused = true;
    this.report();
  }

  resume() {
    this.isPaused = false;
  }

  // Nothing of this turn will come any more.
  whole({ turn }) {
    if (turn >= this.turn) this.isWhole = true;
  }

  process(_, outputs) {
    const out = outputs[0][0];
    let filled = 0;
    while (filled < out.length && this.mayPlay()) {
      filled += this.fill(out, filled);
    }
    if (filled < out.length && this.isPlaying && !this.isPaused) this.runDry();
    if (++this.quanta % REPORT_QUANTA === 0) this.report();
    return true;
  }

  mayPlay() {
    if (this.isPaused || this.blocks.length === 0) return false;
    if (this.isPlaying) return true;
    const first = this.blocks[0];
    if (first.turn !== this.turn) this.isWhole = false;
    if (!this.isWhole && this.waitingS() < this.targetS) return false;
    this.isPlaying = true;
    return true;
  }

  waitingS() {
    let samples = 0;
    for (const block of this.blocks) samples += block.samples.length - block.used;
    return samples / sampleRate;
  }

  fill(out, filled) {
    const block = this.blocks[0];
    if (block.turn !== this.turn) {
      this.turn = block.turn;
      this.hasBeenLoud = false;
      this.isWhole = false;
      this.targetS = Math.max(MIN_TARGET_S, this.targetS * CALMER);
    }
    const count = Math.min(out.length - filled, block.samples.length - block.used);
    const piece = block.samples.subarray(block.used, block.used + count);
    out.set(piece, filled);
    this.next = block.at + block.used + count;
    if (!this.hasBeenLoud) this.lookForSound(piece, block.at + block.used, filled);
    block.used += count;
    if (block.used === block.samples.length) this.blocks.shift();
    return count;
  }

  lookForSound(piece, at, filled) {
    const index = piece.findIndex((sample) => Math.abs(sample) >= LOUD);
    if (index < 0) return;
    this.hasBeenLoud = true;
    this.port.postMessage({
      kind: "first",
      turn: this.turn,
      contextS: (currentFrame + filled + index) / sampleRate,
      pts: (at + index) / sampleRate,
    });
  }

  runDry() {
    this.isPlaying = false;
    this.dryTurn = this.turn; // the end of an answer too: only more of the same turn tells
    this.report();
  }

  noteUnderrun() {
    this.dryTurn = 0;
    this.underruns += 1;
    this.targetS = Math.min(MAX_TARGET_S, this.targetS * 1.5);
  }

  // `pts` of the turn goes to the loudspeaker at `contextS`.
  report() {
    this.port.postMessage({
      kind: "position",
      turn: this.turn,
      pts: this.next / sampleRate,
      contextS: (currentFrame + 128) / sampleRate,
      isPlaying: this.isPlaying && !this.isPaused,
      isPaused: this.isPaused,
      waitingS: this.waitingS(),
      targetS: this.targetS,
      underruns: this.underruns,
    });
  }
}

registerProcessor("player", Player);
