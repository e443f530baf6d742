// Sound on its way: as PCM, or as Opus where the browser has WebCodecs and the server asks for it.

export const OPUS_RATE_HZ = 48000;
const BIT_RATE = 32000;
const PACKET_US = 20000;

/** Whether this browser can speak Opus: safe pages of browsers with WebCodecs. */
export function hasOpus() {
  return "AudioEncoder" in globalThis && "AudioDecoder" in globalThis;
}

/** PCM both ways. */
export class PcmCodec {
  name = "pcm";
  #onPacket;
  #onSamples;

  constructor(onPacket, onSamples) {
    this.#onPacket = onPacket;
    this.#onSamples = onSamples;
  }

  rateOf(speechRateHz) {
    return speechRateHz;
  }

  encode(pcm) {
    this.#onPacket(pcm);
  }

  decode(header, payload) {
    const pcm = new Int16Array(payload.slice().buffer);
    this.#onSamples(header, Float32Array.from(pcm, (value) => value / 32768));
  }
}

/** Opus both ways, 48 kHz in one channel, packets of 20 ms. */
export class OpusCodec {
  name = "opus";
  #encoder;
  #decoder;
  #headers = new Map(); // of packets that are being decoded, by the time stamp they were given, in order
  #sent = 0;
  #taken = 0;

  /**
   * @param {(packet: Uint8Array) => void} onPacket
   * @param {(header: object, samples: Float32Array) => void} onSamples
   */
  constructor(onPacket, onSamples) {
    this.#encoder = new AudioEncoder({
      output: (chunk) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        onPacket(packet);
      },
      error: (error) => console.warn("opus", error),
    });
    this.#encoder.configure({
      codec: "opus",
      sampleRate: OPUS_RATE_HZ,
      numberOfChannels: 1,
      bitrate: BIT_RATE,
      opus: { frameDuration: PACKET_US },
    });
    this.#decoder = new AudioDecoder({
      output: (data) => {
        const header = this.#headerAt(data.timestamp);
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        data.close();
        if (header !== undefined) onSamples(header, samples);
      },
      error: (error) => console.warn("opus", error),
    });
    this.#decoder.configure({ codec: "opus", sampleRate: OPUS_RATE_HZ, numberOfChannels: 1 });
  }

  rateOf() {
    return OPUS_RATE_HZ;
  }

  /** The header of the packet with this time stamp, which browsers round, or shift a little. */
  #headerAt(timestamp) {
    let found;
    for (const [at, header] of this.#headers) {
      if (found !== undefined && at > timestamp + PACKET_US / 2) break;
      this.#headers.delete(at);
      found = header;
    }
    return found;
  }

  encode(pcm) {
    const data = new AudioData({
      format: "s16",
      sampleRate: OPUS_RATE_HZ,
      numberOfFrames: pcm.byteLength / 2,
      numberOfChannels: 1,
      timestamp: PACKET_US * this.#sent++,
      data: pcm,
    });
    this.#encoder.encode(data);
    data.close();
  }

  decode(header, payload) {
    const timestamp = PACKET_US * this.#taken++;
    this.#headers.set(timestamp, header);
    this.#decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data: payload }));
  }
}
