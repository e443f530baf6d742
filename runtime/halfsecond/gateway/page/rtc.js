// WebRTC: sound and face as one stream that the browser keeps together, words by a data channel.

import { fetchJson } from "./link.js";

const CONNECT_MS = 6000;
const RETRY_MS = 1000;
const CLOCK_MS = 1000;
const LOST_MS = 3000;

export class Rtc {
  #token;
  #iceServers;
  #on;
  #video;
  #stream = null;
  #connection = null;
  #channel = null;
  #lost = 0;

  /**
   * @param {string} token
   * @param {RTCIceServer[]} iceServers
   * @param {HTMLVideoElement} video plays the face and its sound
   * @param {object} on as of Link; sound and pictures are the browser's own here
   */
  constructor(token, iceServers, video, on) {
    this.#token = token;
    this.#iceServers = iceServers;
    this.#video = video;
    this.#on = on;
    setInterval(() => this.send({ type: "clock" }), CLOCK_MS);
  }

  /** Connects; throws where no way leads to the gateway, as behind a proxy that blocks UDP. */
  async connect(stream) {
    this.#stream = stream ?? this.#stream;
    const connection = new RTCPeerConnection({ iceServers: this.#iceServers });
    this.#connection?.close();
    this.#connection = connection;
    const [microphone] = this.#stream?.getAudioTracks() ?? [];
    if (microphone) connection.addTrack(microphone, this.#stream);
    else connection.addTransceiver("audio", { direction: "recvonly" });
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.ontrack = ({ streams }) => {
      if (this.#video.srcObject !== streams[0]) this.#video.srcObject = streams[0];
    };
    const opened = this.#openChannel(connection);
    await connection.setLocalDescription();
    await gathered(connection);
    const answer = await fetchJson("api/webrtc", this.#token, {
      method: "POST",
      body: JSON.stringify({ sdp: connection.localDescription.sdp }),
    });
    await connection.setRemoteDescription(answer);
    await within(opened, CONNECT_MS);
    connection.onconnectionstatechange = () => this.#onState(connection);
    this.#on.open();
    this.#video.play().catch(() => undefined); // locked until a touch
  }

  #openChannel(connection) {
    const channel = connection.createDataChannel("halfsecond");
    this.#channel = channel;
    channel.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type !== "clock") this.#on.message(message);
    };
    return new Promise((resolve) => (channel.onopen = resolve));
  }

  #onState(connection) {
    if (connection !== this.#connection) return;
    clearTimeout(this.#lost);
    const state = connection.connectionState;
    if (state === "failed" || state === "closed") this.#again();
    else if (state === "disconnected") this.#lost = setTimeout(() => this.#again(), LOST_MS);
  }

  async #again() {
    this.#on.closed(1006, "the connection is lost");
    for (;;) {
      try {
        return await this.connect();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  get isOpen() {
    return this.#channel?.readyState === "open";
  }

  send(message) {
    if (this.isOpen) this.#channel.send(JSON.stringify(message));
  }

  /** The microphone has a track of its own. */
  sendSound() {}

  serverS() {
    return NaN;
  }

  /** What the browser measures of the connection. */
  stats() {
    return this.#connection.getStats();
  }

  close() {
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
  }
}

/** Waits until all of this machine's addresses are known; they go with the offer. */
function gathered(connection) {
  if (connection.iceGatheringState === "complete") return undefined;
  const all = new Promise((resolve) => {
    connection.onicegatheringstatechange = () => {
      if (connection.iceGatheringState === "complete") resolve();
    };
  });
  return within(all, CONNECT_MS).catch(() => undefined); // those that were found have to do
}

function within(promise, ms) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too late")), ms));
  return Promise.race([promise, late]);
}
