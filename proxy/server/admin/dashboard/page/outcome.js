/** What came of something that was done by hand, told for a few seconds at the foot of the page. */

import { Refused } from "./api.js";
import { at, say, show } from "./dom.js";

const TOLD = 6000;

let timer = null;

/** Do it, and say `words(answer)`, or why it was not done. */
export async function tellOutcome(action, words) {
  try {
    tell(words(await action()), "good");
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    const [problem] = refused.problems ?? [];
    const where = problem ? ` ${problem.file}:${problem.line}:${problem.column}: ${problem.message}` : "";
    tell(`Not done: ${refused.message}.${where}`, "bad");
  }
}

/** The finding of one health check. */
export const finding = ({ finding: found, seconds, error }) =>
  `${found}${error ? ` (${error})` : ""} in ${Math.round(seconds * 1000)} ms`;

function tell(text, tone) {
  clearTimeout(timer);
  at("toast").dataset.tone = tone;
  show(at("toast"), true);
  say(at("toast"), text);
  timer = setTimeout(() => show(at("toast"), false), TOLD);
}
