/** The last requests, each with the ladder of its attempts. */

import { fromTemplate, make, mark, say, setMark, show } from "./dom.js";
import { clock, duration, plain } from "./words.js";

/** As many as the sidecar remembers. */
export const REMEMBERED = 100;
const KEPT = 200;
const SHOWN = 40;
const TONES = { ok: "good", degraded: "warn", refused: "off", cancelled: "off", failed: "bad", broken: "bad" };

const keyOf = (entry) => `${entry.time} ${entry.request_id}`;
const troubled = (entry) => entry.outcome !== "ok" || entry.attempts.length > 1;

export class Requests {
  #entries = new Map();
  #rows = new Map();
  #onlyTrouble = false;
  #frozen = null;

  constructor({ place, none, held, trouble, pause }) {
    Object.assign(this, { place, none, held });
    trouble.addEventListener("click", () => {
      this.#onlyTrouble = pressed(trouble);
      this.update();
    });
    pause.addEventListener("click", () => {
      this.#frozen = pressed(pause) ? [...this.#entries.values()] : null;
      this.update();
    });
  }

  /** Take in one request; false when it was known. */
  add(entry) {
    const key = keyOf(entry);
    if (this.#entries.has(key)) return false;
    this.#entries.set(key, entry);
    if (this.#entries.size > KEPT) this.#forget();
    return true;
  }

  /** The oldest that went well, so that trouble is not washed away by a minute of traffic. */
  #forget() {
    for (const [key, entry] of this.#entries) {
      if (!troubled(entry)) return void this.#entries.delete(key);
    }
    this.#entries.delete(this.#entries.keys().next().value);
  }

  /** Draw those that are new, and drop those that are no longer shown. */
  update() {
    const entries = this.#frozen ?? [...this.#entries.values()];
    const chosen = entries.filter((entry) => !this.#onlyTrouble || troubled(entry)).slice(-SHOWN).reverse();
    const keys = new Set(chosen.map(keyOf));
    for (const [key, row] of this.#rows) {
      if (!keys.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
    chosen.forEach((entry, index) => {
      const key = keyOf(entry);
      if (!this.#rows.has(key)) this.#rows.set(key, rowOf(entry));
      const row = this.#rows.get(key);
      if (this.place.children[index] !== row) this.place.insertBefore(row, this.place.children[index] ?? null);
    });
    say(this.none, entries.length && this.#onlyTrouble ? "No trouble among them." : "No request yet.");
    show(this.none, chosen.length === 0);
    say(this.held, this.#frozen ? "paused" : "");
  }
}

/** Turn a button that stays pressed; whether it is now. */
function pressed(button) {
  const now = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(now));
  return now;
}

function rowOf(entry) {
  const { root, slots } = fromTemplate("request");
  root.dataset.outcome = entry.outcome;
  root.title = `request ${entry.request_id}`;
  slots.time.dateTime = new Date(entry.time * 1000).toISOString();
  say(slots.time, clock(entry.time));
  setMark(slots.outcome, TONES[entry.outcome]);
  slots.outcome.append(make("span", "word", entry.outcome), make("span", "code", entry.status ? ` ${entry.status}` : ""));
  say(slots.route, entry.route || "no route");
  say(slots.model, [entry.model, entry.stream ? "stream" : ""].filter(Boolean).join(" · "));
  slots.route.parentElement.title = `${entry.route} ${entry.model}`;
  slots.ladder.append(...entry.attempts.map(rungOf));
  say(slots.total, duration(entry.milliseconds / 1000));
  return root;
}

function rungOf(attempt) {
  const good = attempt.class === "ok";
  const rung = make("li", good ? "rung" : "rung failed");
  const verdict = good ? "" : ` ${plain(attempt.class)}${attempt.status ? ` ${attempt.status}` : ""}`;
  rung.append(mark(good ? "good" : "bad"), make("b", "", attempt.provider), make("span", "", verdict));
  rung.append(make("span", "quiet", ` ${duration(attempt.ms / 1000)}`), make("span", "unseen", good ? " answered" : ""));
  return rung;
}
