// The microphone: blocks of 20 ms for the server, their loudness for the visitor.

const RETRY_MS = 3000;

/** What is asked of the browser; one that cannot convert gives its own. */
export const USUAL_RATE_HZ = 48000;

/** Why there is no microphone: a key of messages.js. */
function faultOf(error) {
  if (!globalThis.isSecureContext || !navigator.mediaDevices) return "microphoneInsecure";
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "microphoneRefused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "microphoneMissing";
    case "NotReadableError":
    case "AbortError":
      return "microphoneTaken";
    default:
      return "microphoneFailed";
  }
}

export class Microphone {
  #context = null;
  #stream = null;
  #nodes = [];
  #retry = 0;
  #isMuted = false;
  #isOpening = false;
  #onBlock;
  #onFault;

  /**
   * @param {(pcm: ArrayBuffer, rms: number) => void} onBlock
   * @param {(key: string | null) => void} onFault null when the microphone works
   */
  constructor(onBlock, onFault) {
    this.#onBlock = onBlock;
    this.#onFault = onFault;
    navigator.mediaDevices?.addEventListener("devicechange", () => {
      if (this.#stream === null) this.open();
    });
  }

  /** The rate of what is handed over; 0 before it is open. */
  get rateHz() {
    return this.#context?.sampleRate ?? 0;
  }

  get stream() {
    return this.#stream;
  }

  /** Opens the microphone, and goes on trying when there is none. Never throws. */
  async open(rateHz = USUAL_RATE_HZ) {
    if (this.#isOpening || this.#stream !== null) return;
    this.#isOpening = true;
    clearTimeout(this.#retry);
    try {
      await this.#connect(rateHz);
      this.#onFault(null);
    } catch (error) {
      const fault = faultOf(error);
      this.#onFault(fault);
      if (fault !== "microphoneInsecure") {
        this.#retry = setTimeout(() => this.open(rateHz), RETRY_MS);
      }
    } finally {
      this.#isOpening = false;
    }
  }

  async #connect(rateHz) {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    const source = await this.#source(stream, rateHz);
    const node = new AudioWorkletNode(this.#context, "microphone");
    node.port.onmessage = ({ data }) => this.#onBlock(data.pcm, data.rms);
    // Its output is silence; without a way to the loudspeaker browsers let the node rest.
    source.connect(node).connect(this.#context.destination);
    this.#nodes = [source, node]; // else they are taken for garbage
    const [track] = stream.getAudioTracks();
    track.enabled = !this.#isMuted;
    track.addEventListener("ended", () => {
      source.disconnect();
      node.disconnect();
      this.#stream = null;
      this.#onFault("microphoneMissing");
      this.open(rateHz);
    });
    this.#stream = stream;
    await this.#context.resume();
  }

  /** The microphone at the rate that is wished for; at its own where the browser cannot convert. */
  async #source(stream, rateHz) {
    for (const options of [{ sampleRate: rateHz }, {}]) {
      if (this.#context === null) {
        const context = new AudioContext(options);
        await context.audioWorklet.addModule("microphone-worklet.js");
        this.#context = context;
      }
      try {
        return this.#context.createMediaStreamSource(stream);
      } catch (error) {
        if (error.name !== "NotSupportedError" || !options.sampleRate) throw error;
        await this.#context.close();
        this.#context = null;
      }
    }
    throw new Error("the microphone cannot be read");
  }

  get isLocked() {
    return this.#context !== null && this.#context.state === "suspended";
  }

  async unlock() {
    await this.#context?.resume();
  }

  /** Muted it goes on sending, silence. */
  set isMuted(value) {
    this.#isMuted = value;
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !value;
  }

  get isMuted() {
    return this.#isMuted;
  }
}
