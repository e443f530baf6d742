// The face: pictures, shown when the loudspeaker reaches their moment.

const MAX_CROP = 1.2; // how much larger than its frame the portrait may become to fill a screen
const BACKDROP_MS = 4000;
const KEPT_OFFSETS = 2000;
// Where a portrait has its face, as the server frames it: eyes and lower lip below the frame's top,
// in parts of its height and of its shorter side.
const EYES_DOWN = 0.42;
const LIP_BELOW_EYES = 0.24;
const LEAST_EYES_DOWN = 0.18; // of the screen: a face that goes up keeps its forehead

export class Face {
  #canvas;
  #draw;
  #backdrop;
  #backdropAt = -Infinity;
  #pictures = []; // of an answer, in the order of their moments
  #resting = null;
  #generation = 0;
  #shown = null;
  #owed = 0;
  #player;
  #grant;
  #onFirst;
  #firstTurn = 0;
  #video = null;
  #fitted = "";
  #floor = Infinity;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLCanvasElement} backdrop what surrounds the portrait where it does not fill
   * @param {import("./player.js").Player} player
   * @param {(frames: number) => void} grant grants the credit of pictures shown or dropped
   * @param {(turn: number, performanceS: number) => void} onFirst the first picture of an answer
   *   whose mouth moves is on the screen
   */
  constructor(canvas, backdrop, player, grant, onFirst) {
    this.#canvas = canvas;
    this.#draw = canvas.getContext("2d", { alpha: false });
    this.#backdrop = backdrop.getContext("2d", { alpha: false });
    this.#player = player;
    this.#grant = grant;
    this.#onFirst = onFirst;
    this.offsetsS = []; // loudspeaker minus picture, of every driven picture that was shown
    this.dropped = 0;
    this.late = { turn: 0, offset_s: null, dropped: 0 }; // of the answer that is shown
    this.drawn = 0;
    new ResizeObserver(() => this.#paint()).observe(canvas.parentElement);
    const tick = () => {
      this.#tick();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Shows a stream instead, whose moments the browser keeps. */
  follow(video) {
    this.#video = video;
    const next = () => {
      this.drawn += 1;
      this.#paint();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** Words begin this many pixels below the screen's top: the mouth stays above them. */
  set floor(px) {
    this.#floor = px;
    this.#paint();
  }

  /** A new session: what waits is void. */
  restart() {
    this.#generation = 0;
    for (const picture of this.#pictures.splice(0)) picture.bitmap.close();
    this.#owed = 0;
    this.#firstTurn = 0;
    this.late = { turn: 0, offset_s: null, dropped: 0 };
  }

  /** What a playhead tells of the pictures: how far the sound was beyond the newest one's moment. */
  shown(turn) {
    const { turn: own, ...told } = this.late;
    return own === turn ? told : {};
  }

  /** Drops what is older than this generation. */
  drop(generation) {
    this.#generation = Math.max(this.#generation, generation);
    this.#discard((picture) => picture.generation < this.#generation);
  }

  async add(header, jpeg) {
    if (header.generation < this.#generation) {
      this.#let();
      return;
    }
    let bitmap;
    try {
      bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    } catch {
      this.#let();
      return;
    }
    if (header.generation < this.#generation) {
      bitmap.close();
      this.#let();
    } else if (header.turn === 0) {
      if (this.#resting) this.#let();
      this.#resting?.bitmap.close();
      this.#resting = { ...header, bitmap };
    } else {
      this.#pictures.push({ ...header, bitmap });
      this.#pictures.sort((a, b) => a.turn - b.turn || a.pts - b.pts);
    }
  }

  /** A picture needs no place any more. */
  #let() {
    this.#owed += 1;
  }

  #discard(isVoid) {
    this.#pictures = this.#pictures.filter((picture) => {
      if (!isVoid(picture)) return true;
      picture.bitmap.close();
      this.dropped += 1;
      this.#let();
      return false;
    });
  }

  #tick() {
    const clock = this.#player.clock();
    if (clock !== null) this.#showDue(clock);
    else if (this.#resting !== null) this.#rest();
    if (this.#owed > 0) {
      this.#grant(this.#owed);
      this.#owed = 0;
    }
  }

  #showDue({ turn, pts }) {
    let due = null;
    let count = 0;
    for (const picture of this.#pictures) {
      if (picture.turn > turn || (picture.turn === turn && picture.pts > pts)) break;
      due = picture;
      count += 1;
    }
    if (due === null) return;
    for (const late of this.#pictures.splice(0, count)) {
      this.#let();
      if (late === due) continue;
      late.bitmap.close();
      this.dropped += 1;
      if (late.turn === turn) this.#lateOf(turn).dropped += 1;
    }
    this.#show(due);
    if (!due.is_driven || due.turn !== turn) return;
    this.#lateOf(turn).offset_s = pts - due.pts;
    this.offsetsS.push(pts - due.pts);
    if (this.offsetsS.length > KEPT_OFFSETS) this.offsetsS.shift();
    if (this.#firstTurn === turn) return;
    this.#firstTurn = turn;
    this.#onFirst(turn, performance.now() / 1000);
  }

  #lateOf(turn) {
    if (this.late.turn !== turn) this.late = { turn, offset_s: null, dropped: 0 };
    return this.late;
  }

  /** Nothing is heard: the newest picture of the resting face; what was of an older turn goes. */
  #rest() {
    const resting = this.#resting;
    this.#resting = null;
    this.#let();
    this.#show(resting);
    if (!this.#player.isPaused && this.#firstTurn > 0) {
      this.#discard((picture) => picture.turn <= this.#firstTurn);
    }
  }

  #show(picture) {
    this.#shown?.bitmap.close();
    this.#shown = picture;
    this.drawn += 1;
    this.#paint();
  }

  #paint() {
    const source = this.#video ?? this.#shown?.bitmap;
    if (!source) return;
    const own = { width: source.videoWidth ?? source.width, height: source.videoHeight ?? source.height };
    if (own.width === 0) return;
    this.#fit(own);
    const { width, height } = this.#canvas;
    const scale = Math.max(width / own.width, height / own.height);
    const w = own.width * scale;
    const h = own.height * scale;
    this.#draw.drawImage(source, (width - w) / 2, (height - h) / 2, w, h);
    this.#paintBackdrop(source);
  }

  /** Gives the canvas the size that the portrait takes on this screen. */
  #fit({ width, height }) {
    const stage = this.#canvas.parentElement;
    const { clientWidth, clientHeight } = stage;
    const fitted = `${width}x${height} in ${clientWidth}x${clientHeight} at ${devicePixelRatio} above ${this.#floor}`;
    if (fitted === this.#fitted) return;
    this.#fitted = fitted;
    const fill = Math.max(clientWidth / width, clientHeight / height);
    const whole = Math.min(clientWidth / width, clientHeight / height);
    const scale = Math.min(fill, whole * MAX_CROP);
    const w = Math.min(clientWidth, width * scale);
    const h = Math.min(clientHeight, height * scale);
    this.#canvas.width = Math.round(w * Math.min(2, devicePixelRatio || 1));
    this.#canvas.height = Math.round(h * Math.min(2, devicePixelRatio || 1));
    this.#canvas.style.width = `${w}px`;
    this.#canvas.style.height = `${h}px`;
    stage.classList.toggle("is-narrow", w < clientWidth - 1);
    stage.classList.toggle("is-short", h < clientHeight - 1);
    const shown = Math.max(w / width, h / height);
    const top = h < clientHeight - 1 ? 0 : (clientHeight - h) / 2;
    const lift = this.#lift(top + (h - height * shown) / 2, width * shown, height * shown);
    this.#canvas.style.translate = `0 ${-lift}px`;
    stage.classList.toggle("is-lifted", lift > 1);
  }

  /** How far a picture that begins at `top` goes up, so that the words leave its mouth free. */
  #lift(top, width, height) {
    const eyes = top + EYES_DOWN * height;
    const lip = eyes + LIP_BELOW_EYES * Math.min(width, height);
    const most = Math.max(0, eyes - LEAST_EYES_DOWN * this.#canvas.parentElement.clientHeight);
    return Math.round(Math.min(most, Math.max(0, lip - this.#floor)));
  }

  #paintBackdrop(source) {
    if (performance.now() - this.#backdropAt < BACKDROP_MS) return;
    this.#backdropAt = performance.now();
    const { width, height } = this.#backdrop.canvas;
    // Blurred once in a while and small: a filter of the page's would be applied to every picture.
    this.#backdrop.filter = "blur(14px) brightness(0.4)";
    this.#backdrop.drawImage(source, -width / 4, -height / 4, 1.5 * width, 1.5 * height);
  }
}
