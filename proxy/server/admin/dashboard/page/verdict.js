/** The state of everything in one sentence: what somebody who was just woken up reads first. */

import { say, setMark, show, slotsOf } from "./dom.js";
import { list, several } from "./words.js";

/** `{tone, headline, detail}`. `conditions` are the providers' by name, `since` their words. */
export function verdict(status, conditions, since) {
  const names = Object.keys(conditions);
  const having = (tone) => names.filter((name) => conditions[name].tone === tone);
  const stranded = Object.entries(status.routes).filter(([, route]) => !route.providers.some((name) => conditions[name]?.usable));
  const down = having("bad");
  const shaky = having("warn");
  const ready = names.filter((name) => conditions[name].usable && conditions[name].tone !== "bad");
  if (stranded.length) {
    const whom = list(stranded.map(([name]) => name));
    return { tone: "bad", headline: `Nobody can answer ${whom}`, detail: told([...down, ...shaky]) || "No provider is enabled." };
  }
  if (down.length) {
    return { tone: "bad", headline: headline(down, "down"), detail: `${told(down)} Asked instead: ${list(ready)}.` };
  }
  if (shaky.length) return { tone: "warn", headline: headline(shaky, "in trouble"), detail: told(shaky) };
  const off = names.filter((name) => !conditions[name].usable).length;
  const detail = `${several(ready.length, "provider")} ready${off ? `, ${off} not in use` : ""}.`;
  return { tone: "good", headline: "All is well", detail };

  function headline(some, otherwise) {
    if (some.length > 1) return `${list(some)} are ${otherwise}`;
    return `${some[0]}: ${conditions[some[0]].word} ${since[some[0]]}`.trim();
  }

  function told(some) {
    if (some.length === 1) return `${sentence(conditions[some[0]].detail)}.`;
    return some.map((name) => `${name} ${since[name]}: ${conditions[name].detail}.`).join(" ");
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What is wrong with the files, or nothing. */
function refusal({ reload, generation }) {
  if (reload.ok) return "";
  const [first] = reload.problems;
  const where = first ? ` ${first.file}:${first.line}:${first.column}: ${first.message}` : "";
  return `The files were refused, generation ${generation} serves on.${where}`;
}

/** Write it at the top of the page, and its gist into the title of the tab. */
export function showVerdict(element, told, status) {
  const slots = slotsOf(element);
  element.dataset.tone = told.tone;
  setMark(slots.mark, told.tone);
  say(slots.headline, told.headline);
  say(slots.detail, told.detail);
  say(slots.warning, refusal(status));
  show(slots.warning, !status.reload.ok);
  document.title = told.tone === "good" ? "sidestep" : `${told.tone === "bad" ? "✕" : "!"} ${told.headline}`;
}
