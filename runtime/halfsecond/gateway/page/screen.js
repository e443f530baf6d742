// What is on the screen besides the face: words, state, buttons, and what is wrong.

import { MESSAGES, preferred } from "./messages.js";

const LANGUAGE_KEY = "halfsecond.language";
const ALARM = '<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="9.5"/><path d="M12 7v6M12 16.6v.1"/></svg>';
const find = (selector) => document.querySelector(selector);

/** Settings of the server, which the address may change: ?rotate=90&mirror=1&captions=0&lang=zh */
function withAddress(settings) {
  const query = new URLSearchParams(location.search);
  const changed = { ...settings };
  if (query.has("rotate")) changed.rotate = Number(query.get("rotate"));
  if (query.has("mirror")) changed.is_mirrored = query.get("mirror") !== "0";
  if (query.has("captions")) changed.has_captions = query.get("captions") !== "0";
  if (query.has("lang")) changed.wished = query.get("lang");
  return changed;
}

export class Screen {
  #settings;
  #on;
  #notices = new Map(); // by what is wrong: { key, detail }
  #clauses = []; // of answers, waiting for their moment
  #phase = "away";
  #questions = [];

  /**
   * @param {object} settings of api/kiosk
   * @param {Record<string, Function>} on what the visitor does: ask, stop, language, mute, touch, retry
   */
  constructor(settings, on) {
    this.#settings = withAddress(settings);
    this.#on = on;
    const wished = this.#settings.wished ?? localStorage.getItem(LANGUAGE_KEY) ?? settings.languages[0];
    this.language = preferred(settings.languages, wished);
    document.title = settings.title;
    find("#title").textContent = settings.title;
    this.#turn();
    this.#listen();
    this.#translate();
    find("#notices").replaceChildren();
  }

  /** Tells what is wrong before there is a screen. */
  static announce(key, detail = "") {
    const language = preferred(Object.keys(MESSAGES));
    const words = MESSAGES[language];
    document.documentElement.lang = language;
    find("#notices").replaceChildren(noticeOf(words, key, detail));
  }

  get text() {
    return MESSAGES[this.language];
  }

  #turn() {
    const { rotate, is_mirrored, has_captions, has_microphone } = this.#settings;
    document.body.style.setProperty("--rotate", `${rotate}deg`);
    document.body.style.setProperty("--mirror", is_mirrored ? "-1" : "1");
    document.body.classList.toggle("is-sideways", rotate % 180 !== 0);
    document.body.classList.toggle("has-captions", has_captions);
    find("#captions").setAttribute("aria-pressed", has_captions);
    find("#microphone").hidden = !has_microphone;
  }

  #listen() {
    find("#typing").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = find("#typed");
      const text = input.value.trim();
      input.value = "";
      if (text) this.#on.ask(text);
    });
    find("#stop").addEventListener("click", () => this.#on.stop());
    find("#captions").addEventListener("click", () => {
      const has = document.body.classList.toggle("has-captions");
      find("#captions").setAttribute("aria-pressed", has);
    });
    find("#microphone").addEventListener("click", () => {
      const isMuted = find("#microphone").getAttribute("aria-pressed") !== "true";
      find("#microphone").setAttribute("aria-pressed", isMuted);
      this.#on.mute(isMuted);
      this.#translate();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#on.stop();
    });
    document.addEventListener("pointerdown", () => this.#on.touch());
    document.addEventListener("keydown", () => this.#on.touch());
  }

  #translate() {
    const { text, language } = this;
    document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
    const hasMicrophone = this.#settings.has_microphone;
    find("#invite").textContent = hasMicrophone ? text.invitation : text.invitationTouch;
    find("#how").textContent = hasMicrophone && this.#questions.length ? text.speak : hasMicrophone ? "" : text.touch;
    find("#ask").textContent = text.ask;
    find("#stop").textContent = text.stop;
    find("#begin").textContent = text.begin;
    find("#typed").placeholder = text.type;
    find("#typed").setAttribute("aria-label", text.type);
    find("#questions").setAttribute("aria-label", text.questions);
    find("#captions").setAttribute("aria-label", text.captions);
    const isMuted = find("#microphone").getAttribute("aria-pressed") === "true";
    find("#microphone").setAttribute("aria-label", isMuted ? text.unmute : text.mute);
    find("#phase").textContent = text[this.#phase];
    this.#showLanguages();
    this.#showNotices();
  }

  #showLanguages() {
    const languages = this.#settings.languages.filter((language) => language in MESSAGES);
    if (languages.length < 2) return;
    const buttons = languages.map((language) => {
      const button = document.createElement("button");
      button.type = "button";
      button.lang = language;
      button.textContent = MESSAGES[language].name;
      button.setAttribute("aria-pressed", language === this.language);
      button.addEventListener("click", () => {
        this.language = language;
        localStorage.setItem(LANGUAGE_KEY, language);
        this.#translate();
        this.#on.language(language);
      });
      return button;
    });
    find("#languages").replaceChildren(...buttons);
  }

  set phase(phase) {
    if (phase === this.#phase && document.body.dataset.phase === phase) return;
    this.#phase = phase;
    document.body.dataset.phase = phase;
    find("#phase").textContent = this.text[phase];
    find("#stop").hidden = phase !== "speaking" && phase !== "thinking";
    find("#ask").hidden = !find("#stop").hidden;
    if (phase === "listening") this.#level(0);
  }

  set level(level) {
    this.#level(level);
  }

  #level(level) {
    document.body.style.setProperty("--level", level.toFixed(2));
  }

  set isLocked(isLocked) {
    find("#begin").hidden = !isLocked;
  }

  set questions(questions) {
    this.#questions = questions;
    const items = questions.map((question) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = question;
      button.addEventListener("click", () => this.#on.ask(question));
      item.append(button);
      return item;
    });
    find("#questions").replaceChildren(...items);
    this.#translate();
  }

  // Words.

  /** The visitor's words. */
  heard(text, isFinal) {
    if (!text) return;
    document.body.classList.add("has-words");
    const question = find("#question");
    question.textContent = text;
    question.lang = this.language;
    question.style.opacity = isFinal ? 1 : 0.7;
    this.#clauses = [];
    find("#answer").replaceChildren();
  }

  /** A clause of an answer, shown when the loudspeaker reaches it. */
  queue({ turn, generation, pts, text }) {
    this.#clauses.push({ turn, generation, pts, text });
  }

  drop(generation) {
    this.#clauses = this.#clauses.filter((clause) => clause.generation >= generation);
  }

  /** Shows the clauses that are heard by now. */
  say(clock) {
    if (clock === null) return;
    while (this.#clauses.length > 0) {
      const { turn, pts, text } = this.#clauses[0];
      if (turn > clock.turn || (turn === clock.turn && pts > clock.pts + 0.05)) return;
      this.#clauses.shift();
      this.#append(turn, text);
    }
  }

  #append(turn, text) {
    document.body.classList.add("has-words");
    const answer = find("#answer");
    if (answer.dataset.turn !== String(turn)) answer.replaceChildren();
    answer.dataset.turn = turn;
    answer.lang = this.language;
    const span = document.createElement("span");
    span.textContent = this.language === "zh" ? text : `${text.trim()} `;
    answer.append(span);
    answer.scrollTop = answer.scrollHeight;
  }

  clear() {
    this.#clauses = [];
    find("#question").textContent = "";
    find("#answer").replaceChildren();
    document.body.classList.remove("has-words");
  }

  /** The screen as the next visitor finds it. */
  rest() {
    this.clear();
    localStorage.removeItem(LANGUAGE_KEY);
    const first = preferred(this.#settings.languages, this.#settings.wished ?? this.#settings.languages[0]);
    if (first !== this.language) {
      this.language = first;
      this.#translate();
    }
  }

  /** Calls `onFloor` with where the words begin, in pixels from the screen's top, as they change. */
  watchFloor(onFloor) {
    const main = find("main");
    const tell = () => {
      const tops = [...main.children].filter((part) => part.offsetParent !== null).map((part) => part.offsetTop);
      onFloor(main.offsetTop + Math.min(main.clientHeight, ...tops));
    };
    const observer = new ResizeObserver(tell);
    for (const part of [main, ...main.children]) observer.observe(part);
  }

  // What is wrong.

  /** @param {"server" | "microphone" | "turn"} place  @param {string | null} key null: all is well */
  notice(place, key, detail = "") {
    if (key === null) this.#notices.delete(place);
    else this.#notices.set(place, { key, detail });
    this.#showNotices();
  }

  #showNotices() {
    const shown = [...this.#notices].map(([place, { key, detail }]) => {
      const notice = noticeOf(this.text, key, detail);
      if (place === "microphone") notice.append(this.#retryButton());
      return notice;
    });
    find("#notices").replaceChildren(...shown);
  }

  #retryButton() {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.text.again;
    button.addEventListener("click", () => this.#on.retry());
    return button;
  }
}

function noticeOf(words, key, detail) {
  const notice = document.createElement("section");
  notice.className = "notice";
  notice.dataset.key = key;
  notice.innerHTML = ALARM;
  const told = document.createElement("div");
  for (const text of [words[key], words[`${key}Help`] ?? detail]) {
    if (!text) continue;
    const line = document.createElement("p");
    line.textContent = text;
    told.append(line);
  }
  notice.append(told);
  return notice;
}
