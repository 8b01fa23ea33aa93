/** What happened: failovers, breakers, changes by hand and of the files. The same again and again counts as one line. */

import { make, mark, show } from "./dom.js";
import { clock, count, plain, several } from "./words.js";

const SHOWN = 60;
const TOGETHER = 60; // seconds within which the same counts as the same
const QUIET = 5000; // milliseconds between two announcements

export class Happenings {
  #lines = [];
  #drawn = [];
  #unsaid = new Map();
  #timer = null;

  constructor({ place, none, announcer }) {
    Object.assign(this, { place, none, announcer });
  }

  /** Take in one event of the stream that happened at `time`; `quietly` when it is of the past. */
  add({ name, data }, time, { quietly = false } = {}) {
    const told = TELLERS[name]?.(data);
    if (!told) return;
    const same = this.#lines.find((line) => line.text === told.text && time - line.time < TOGETHER);
    if (same) Object.assign(same, { time, times: same.times + 1 });
    else this.#lines.push({ ...told, time, times: 1 });
    this.#lines = this.#lines.sort((one, other) => other.time - one.time).slice(0, SHOWN);
    if (!quietly) this.#announce(told.text);
  }

  /** Draw the lines. */
  update() {
    const wanted = this.#lines.map((line) => `${line.time} ${line.times} ${line.text}`);
    if (wanted.length === this.#drawn.length && wanted.every((text, index) => text === this.#drawn[index])) return;
    this.#drawn = wanted;
    this.place.replaceChildren(...this.#lines.map(lineOf));
    show(this.none, this.#lines.length === 0);
  }

  /** Tell a screen reader, everything of a few seconds at once: a storm of failovers must not talk for minutes. */
  #announce(text) {
    this.#unsaid.set(text, (this.#unsaid.get(text) ?? 0) + 1);
    this.#timer ??= setTimeout(() => {
      const said = [...this.#unsaid].map(([each, times]) => (times > 1 ? `${each}, ${several(times, "time")}` : each));
      this.announcer.textContent = said.join(". ");
      this.#unsaid.clear();
      this.#timer = null;
    }, this.announcer.textContent ? QUIET : 0);
  }
}

const BREAKER = {
  open: ["bad", (name) => `Breaker of ${name} opened`],
  half_open: ["warn", (name) => `Breaker of ${name} half open`],
  closed: ["good", (name) => `Breaker of ${name} closed`],
};

/** What each kind of event says. */
const TELLERS = {
  failover: ({ from, to, reason }) => ({ tone: "warn", text: `${from} → ${to}: ${plain(reason)}` }),
  breaker: ({ provider, state }) => ({ tone: BREAKER[state]?.[0] ?? "off", text: BREAKER[state]?.[1](provider) ?? "" }),
  reload: (data) => {
    const changed = [...(data.added ?? []), ...(data.changed ?? []), ...(data.removed ?? [])].join(", ");
    if (!data.ok) return { tone: "bad", text: "Changed files were refused" };
    return { tone: "good", text: `Files reloaded: ${changed || "nothing changed"}` };
  },
  override: ({ provider, enabled, route, strategy, reset }) => {
    if (reset) return { tone: "off", text: "Changes by hand taken back" };
    if (route) return { tone: "off", text: `${route} follows ${plain(strategy)}` };
    return { tone: "off", text: `${provider} ${enabled ? "enabled" : "disabled"} by hand` };
  },
  dropped: ({ events }) => ({ tone: "warn", text: `${several(events, "event")} came too fast to be told` }),
};

function lineOf({ tone, text, time, times }) {
  const line = make("li", "event");
  const when = make("time", "", clock(time));
  when.dateTime = new Date(time * 1000).toISOString();
  line.append(when, mark(tone), make("span", "", text));
  if (times > 1) line.append(make("span", "times", `×${count(times)}`));
  return line;
}
