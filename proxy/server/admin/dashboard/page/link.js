/** How fresh the page is: live, joining again, or showing what was. */

import { say, show } from "./dom.js";
import { clock } from "./words.js";

const STALE = 6; // seconds without an answer, of a sidecar that is asked every two

export class Link {
  #heard = null;
  #streaming = false;
  #why = "";

  constructor(pill) {
    this.pill = pill;
  }

  /** The sidecar answered. */
  hear(now) {
    this.#heard = now;
  }

  /** The stream of events runs, or `why` it does not. */
  stream(running, why = "") {
    this.#streaming = running;
    this.#why = why;
  }

  /** Say how it is. */
  update(now) {
    const stale = this.#heard !== null && now - this.#heard > STALE;
    const state = stale ? "stale" : this.#streaming ? "live" : "joining";
    const words = { live: "Live", joining: "Joining…", stale: `No answer since ${clock(this.#heard ?? now)}` };
    this.pill.dataset.state = state;
    this.pill.title = state === "live" ? "Events arrive as they happen" : this.#why;
    document.body.dataset.stale = String(stale);
    say(this.pill, words[state]);
    show(this.pill, true);
  }
}
