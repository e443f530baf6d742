// The WebSocket: docs/gateway.md. Connects again by itself, and keeps the server's clock.

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 2000;
const CLOCK_MS = 1000;
const SILENCE_MS = 5000;
const KEPT_EXCHANGES = 32; // of clocks: over days two clocks part, and an old exchange grows wrong
const MAX_WAITING_BYTES = 200_000; // two seconds of microphone; older sound answers nobody

const TOKEN_KEY = "halfsecond.token";

/** The token of the address's #token=…, kept for the next start and taken out of the address. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    localStorage.setItem(TOKEN_KEY, found);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return localStorage.getItem(TOKEN_KEY) ?? "";
}

/** Fetches JSON; throws an Error with the HTTP `status`, 0 without any answer, and its `code`. */
export async function fetchJson(path, token, options = {}) {
  let response;
  try {
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    throw Object.assign(new Error(String(error)), { status: 0 });
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(content.message ?? response.statusText), {
      status: response.status,
      code: content.error,
    });
  }
  return content;
}

export class Link {
  #socket = null;
  #token;
  #retryMs = FIRST_RETRY_MS;
  #heardMs = 0;
  #exchanges = []; // of clocks, newest last: { tripS, offsetS }
  #on;

  /**
   * @param {string} token
   * @param {{ open: () => void, closed: (code: number, reason: string) => void,
   *   message: (message: object) => void, sound: (header: object, pcm: Uint8Array) => void,
   *   picture: (header: object, jpeg: Uint8Array) => void }} on
   */
  constructor(token, on) {
    this.#token = token;
    this.#on = on;
    setInterval(() => this.#keepAlive(), CLOCK_MS);
  }

  connect() {
    const url = new URL("api/talk", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    url.search = "";
    const protocols = ["halfsecond.1"];
    if (this.#token) protocols.push(`bearer.${this.#token}`);
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#heardMs = performance.now();
      this.#exchanges = [];
      this.#on.open();
      this.#keepAlive();
    };
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#lost(code, reason);
    };
    this.#socket = socket;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends a message; what cannot be sent now is lost. */
  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  /** Sends a block of the microphone. */
  sendSound(bytes) {
    if (this.isOpen && this.#socket.bufferedAmount < MAX_WAITING_BYTES) this.#socket.send(bytes);
  }

  /** The server's clock at a moment of performance.now() in seconds; NaN while it is not known. */
  serverS(performanceS) {
    if (this.#exchanges.length === 0) return NaN;
    const quickest = this.#exchanges.reduce((a, b) => (b.tripS < a.tripS ? b : a));
    return performanceS + quickest.offsetS;
  }

  #lost(code, reason) {
    this.#on.closed(code, reason);
    setTimeout(() => this.connect(), this.#retryMs);
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 1.6);
  }

  #keepAlive() {
    if (!this.isOpen) return;
    if (performance.now() - this.#heardMs > SILENCE_MS) {
      // A cable was pulled: the browser would wait for minutes.
      const socket = this.#socket;
      this.#socket = null;
      socket.close();
      this.#lost(1006, "silence");
      return;
    }
    this.send({ type: "clock", client_s: performance.now() / 1000 });
  }

  #take(data) {
    this.#heardMs = performance.now();
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "clock") this.#onClock(message);
      else this.#on.message(message);
      return;
    }
    const size = new DataView(data).getUint16(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 2, size)));
    const payload = new Uint8Array(data, 2 + size);
    if (header.type === "audio") this.#on.sound(header, payload);
    else if (header.type === "video") this.#on.picture(header, payload);
  }

  /** Cristian's algorithm: the quickest exchange has the least uncertain offset. */
  #onClock({ client_s, received_s, sent_s }) {
    const nowS = performance.now() / 1000;
    const tripS = nowS - client_s - (sent_s - received_s);
    this.#exchanges.push({ tripS, offsetS: (received_s + sent_s) / 2 - (client_s + nowS) / 2 });
    if (this.#exchanges.length > KEPT_EXCHANGES) this.#exchanges.shift();
  }
}
