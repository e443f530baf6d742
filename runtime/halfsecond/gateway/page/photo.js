// A visitor's own photo as the face: they are asked on the screen, and nothing is sent before.

import { fetchJson } from "./link.js";

const LARGEST_BYTES = 64_000_000; // the gateway says what it takes; more is no photo
const find = (selector) => document.querySelector(selector);

export class Photo {
  #token;
  #on;
  #ticket = "";
  #isUsed = false;
  #isBusy = false;

  /**
   * @param {string} token
   * @param {{ words: () => object, notice: (key: string | null, detail?: string) => void,
   *   used: () => void, removed: () => void }} on
   */
  constructor(token, on) {
    this.#token = token;
    this.#on = on;
    find("#photo").addEventListener("click", () => (this.#isUsed ? on.removed() : this.#ask()));
    find("#photo-cancel").addEventListener("click", () => this.#close());
    find("#photo-agree").addEventListener("change", () => this.#allow());
    find("#photo-file").addEventListener("change", () => this.#send());
    find("#photo-panel").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#close();
    });
  }

  /** What a photo of this session is posted with; a new session has the face of the house. */
  set ticket(ticket) {
    this.#ticket = ticket;
    this.#isUsed = false;
    this.#isBusy = false;
    find("#photo").hidden = !ticket;
    this.#close();
    this.translate();
  }

  translate() {
    const words = this.#on.words();
    const [button, panel] = [find("#photo"), find("#photo-panel")];
    button.setAttribute("aria-pressed", this.#isUsed);
    button.setAttribute("aria-label", this.#isUsed ? words.photoRemove : words.photo);
    panel.setAttribute("aria-label", words.photo);
    for (const part of ["photoTitle", "photoText", "photoAgreement", "photoChoose", "photoCancel"]) {
      panel.querySelector(`[data-words=${part}]`).textContent = words[part];
    }
  }

  #ask() {
    find("#photo-agree").checked = false;
    this.#allow();
    find("#photo-panel").hidden = false;
    find("#photo-agree").focus();
  }

  #allow() {
    find("#photo-file").disabled = !find("#photo-agree").checked;
  }

  #close() {
    const panel = find("#photo-panel");
    if (panel.contains(document.activeElement)) find("#photo").focus();
    panel.hidden = true;
    find("#photo-file").value = ""; // the browser keeps no name of it either
  }

  async #send() {
    const [file] = find("#photo-file").files;
    const ticket = this.#ticket;
    if (!file || this.#isBusy) return;
    this.#isBusy = true;
    const body = file.size > LARGEST_BYTES ? null : await file.arrayBuffer();
    this.#close();
    this.#on.notice("photoWorking");
    const refusal = body ? await this.#posted(ticket, body) : { code: "too_large" };
    if (ticket !== this.#ticket) return; // another visitor's session by now
    this.#isBusy = false;
    this.#isUsed ||= !refusal;
    this.#on.notice(refusal ? this.#told(refusal) : null, refusal?.message);
    if (!refusal) this.#on.used();
    this.translate();
  }

  /** Null where the photo is in use, else why not. */
  async #posted(ticket, body) {
    try {
      await fetchJson("api/upload/portrait", this.#token, {
        method: "POST",
        headers: { "Upload-Ticket": ticket },
        body,
      });
      return null;
    } catch (error) {
      return error;
    }
  }

  /** The key of what is said in the visitor's language. */
  #told({ code, status }) {
    if (status === 401 || code === "access") return "access";
    return `photo_${code}` in this.#on.words() ? `photo_${code}` : "photo_failed";
  }
}
