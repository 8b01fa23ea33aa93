/** The door: asks for the token once per tab. */

import { Refused, ask, token } from "./api.js";
import { at, say, show } from "./dom.js";

/** Call `enter(status)` once there is a token that opens; ask for one as long as there is none. */
export async function knock(enter) {
  at("entry-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    token.keep(at("token").value.trim());
    at("token").value = "";
    await attempt(enter);
  });
  if (token.get()) await attempt(enter);
  else open("");
}

/** Show the door, and why. */
export function open(problem) {
  show(at("entry"), true);
  say(at("entry-problem"), problem);
  at("token").focus();
}

async function attempt(enter) {
  say(at("entry-problem"), "");
  try {
    const status = await ask("GET", "/admin/status");
    show(at("entry"), false);
    enter(status);
    at("verdict").focus({ preventScroll: true }); // from here Tab goes on to what can be done
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    if (refused.status === 401) token.forget();
    open(refused.status === 401 ? "That is not the token of this sidecar." : `Not now: ${refused.message}.`);
  }
}
