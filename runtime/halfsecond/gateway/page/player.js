// The loudspeaker: plays answers, and is the clock that pictures and captions go by.

export class Player {
  #node = null;
  #context = null;
  #position = null;
  #early = [];
  #reported = { turn: 0, pts: 0 };
  #tell;
  #onFirst;

  /**
   * @param {(turn: number, pts: number, performanceS: number) => void} tell told what is being
   *   heard, four times a second, and when
   * @param {(turn: number, performanceS: number, pts: number) => void} onFirst the first sound of
   *   an answer leaves the loudspeaker at that moment of performance.now()
   */
  constructor(tell, onFirst) {
    this.#tell = tell;
    this.#onFirst = onFirst;
  }

  /** Opens the loudspeaker. Sound of `rateHz` is played as it is, without resampling of ours. */
  async open(rateHz) {
    if (this.#context?.sampleRate === rateHz) return;
    this.#node = null;
    await this.#context?.close();
    const context = new AudioContext({ sampleRate: rateHz, latencyHint: "interactive" });
    this.#context = context;
    await context.audioWorklet.addModule("player-worklet.js");
    const node = new AudioWorkletNode(context, "player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    node.port.onmessage = ({ data }) => this.#take(data);
    node.connect(context.destination);
    this.#node = node;
    for (const message of this.#early.splice(0)) node.port.postMessage(message);
  }

  /** Tells the worklet, or keeps it until there is one: an answer may come while it is loaded. */
  #do(message) {
    if (this.#node !== null) this.#node.port.postMessage(message);
    else this.#early.push(message);
  }

  /** What is played, for those who want to record it. */
  get output() {
    return this.#node;
  }

  /** Whether the browser waits for a touch before it lets anything sound. */
  get isLocked() {
    return this.#context !== null && this.#context.state === "suspended";
  }

  /** Asks to be let sound; to be called while a touch is handled. */
  async unlock() {
    await this.#context?.resume();
  }

  /** A new session: turns and generations begin anew. */
  restart() {
    this.#early.length = 0;
    this.#position = null;
    this.#reported = { turn: 0, pts: 0 };
    this.#do({ do: "restart" });
  }

  /** Sound of an answer, -1 to 1. */
  add(header, samples) {
    const at = Math.round(header.pts * this.#context.sampleRate);
    const { turn, generation } = header;
    const message = { do: "add", turn, generation, at, samples };
    this.#do(message);
  }

  drop(generation) {
    this.#do({ do: "drop", generation });
  }

  pause() {
    this.#do({ do: "pause" });
  }

  resume() {
    this.#do({ do: "resume" });
  }

  whole(turn) {
    this.#do({ do: "whole", turn });
  }

  /**
   * The turn and the moment of it that leaves the loudspeaker now, below 0 while its first sound is
   * on the way there; null while nothing is played.
   */
  clock() {
    const position = this.#position;
    if (position === null || position.turn === 0 || !position.isPlaying) return null;
    const heardS = this.#heardContextS();
    const pts = position.pts + (heardS - position.contextS);
    return { turn: position.turn, pts };
  }

  get isPaused() {
    return this.#position?.isPaused ?? false;
  }

  /** What the jitter buffer does: seconds in hand, seconds asked for, times it ran dry. */
  get buffer() {
    const { waitingS = 0, targetS = 0, underruns = 0 } = this.#position ?? {};
    const latencyS = this.#context ? this.#context.currentTime - this.#heardContextS() : 0;
    return { waitingS, targetS, underruns, latencyS };
  }

  /** The context's time of the sample that leaves the loudspeaker now. */
  #heardContextS() {
    const context = this.#context;
    const output = context.getOutputTimestamp?.();
    if (output?.performanceTime > 0) {
      return output.contextTime + (performance.now() - output.performanceTime) / 1000;
    }
    return context.currentTime - (context.outputLatency || context.baseLatency || 0);
  }

  #take(data) {
    if (data.kind === "first") {
      const waitS = data.contextS - this.#heardContextS();
      this.#onFirst(data.turn, performance.now() / 1000 + waitS, data.pts);
      return;
    }
    const before = this.#position;
    this.#position = data;
    this.#report(before !== null && before.isPlaying && !data.isPlaying);
  }

  #report(isStopped) {
    const { turn, pts } = this.#position;
    if (turn === 0) return;
    const nowS = performance.now() / 1000;
    const heard = isStopped ? pts : this.clock()?.pts;
    if (heard === undefined || heard < 0) return;
    const isNew = turn !== this.#reported.turn || heard - this.#reported.pts >= 0.25;
    if (!isNew && !isStopped) return;
    this.#reported = { turn, pts: heard };
    this.#tell(turn, heard, nowS);
  }
}
