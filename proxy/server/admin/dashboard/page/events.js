/** The stream of events: read with fetch, because an EventSource cannot send the token; joined again when it breaks. */

import { Refused, send } from "./api.js";

const SHORTEST = 500;
const LONGEST = 10_000;
const SILENCE = 40_000; // the sidecar gives a sign of life every 15 s

/** Cuts a text that comes in pieces into server-sent events. */
export class EventParser {
  #held = "";

  /** The events that are complete now: `{name, data}`. */
  feed(text) {
    const blocks = (this.#held + text).split("\n\n");
    this.#held = blocks.pop();
    return blocks.map(parsed).filter((event) => event !== null);
  }
}

function parsed(block) {
  const fields = { event: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return fields.data ? { name: fields.event, data: JSON.parse(fields.data) } : null;
}

/**
 * Listen until `signal` aborts. Calls `heard(event)` for each event, `joined()` after each connection and
 * `lost(refused)` after each loss; a wrong token ends it.
 */
export async function listen({ heard, joined, lost, signal }) {
  let pause = SHORTEST;
  while (!signal.aborted) {
    try {
      await followOnce(heard, () => {
        pause = SHORTEST;
        joined();
      }, signal);
      lost(new Refused(0, "the sidecar closed the stream"));
    } catch (error) {
      if (signal.aborted) return;
      const refused = error instanceof Refused ? error : new Refused(0, "the stream broke");
      lost(refused);
      if (refused.status === 401) return;
    }
    await wait(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(LONGEST, pause * 2);
  }
}

async function followOnce(heard, joined, signal) {
  const silence = new AbortController();
  const response = await send("GET", "/admin/events", { signal: AbortSignal.any([signal, silence.signal]) });
  joined();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const alarm = setTimeout(() => silence.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(alarm));
    if (done) return;
    parser.feed(value).forEach(heard);
  }
}

function wait(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
