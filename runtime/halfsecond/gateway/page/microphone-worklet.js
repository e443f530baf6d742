// Hands the microphone over in blocks of 20 ms, as 16 bit PCM, with their loudness.

const BLOCK_S = 0.02;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(BLOCK_S * sampleRate);
    this.block = new Int16Array(this.size);
    this.filled = 0;
    this.energy = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (channels.length === 0) return true;
    for (let i = 0; i < channels[0].length; i++) {
      let sample = 0;
      for (const channel of channels) sample += channel[i] / channels.length;
      sample = Math.max(-1, Math.min(1, sample));
      this.energy += sample * sample;
      this.block[this.filled++] = Math.round(sample * 32767);
      if (this.filled === this.size) this.handOver();
    }
    return true;
  }

  handOver() {
    const rms = Math.sqrt(this.energy / this.filled);
    const pcm = this.block.buffer;
    this.port.postMessage({ pcm, rms }, [pcm]);
    this.block = new Int16Array(this.size); // the old one went with the message
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("microphone", Microphone);
