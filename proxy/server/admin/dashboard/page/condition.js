/** What a provider's status amounts to: one word, a tone, what follows from it, and since when. */

import { clock, plain, several, span } from "./words.js";

/**
 * `{key, word, tone, detail, usable}` of one provider; `key` changes when the state does.
 * Tones: `good`, `warn` (asked, but in trouble), `bad` (not asked because it fails), `off` (not asked on purpose).
 */
export function condition(provider, now) {
  const { circuit_breaker: breaker, cool_down: coolDown, health } = provider;
  const told = (key, word, tone, detail, usable = true) => ({ key, word, tone, detail, usable });
  if (!provider.configured) return told("unconfigured", "no key", "off", "it needs a key and has none", false);
  if (!provider.enabled) {
    const who = provider.overridden ? "by hand; its file would enable it" : "by its file";
    return told("disabled", "disabled", "off", who, false);
  }
  if (breaker.state === "open") {
    const next = Math.max(0, breaker.opens_until - now);
    return told("open", "down", "bad", `${because(provider)}next try in ${span(next)}`, false);
  }
  if (coolDown.remaining > 0) {
    const again = `asked again in ${span(coolDown.remaining)}`;
    if (coolDown.reason === "auth") return told("refused", "key refused", "bad", again, false);
    const reason = coolDown.reason ? `${plain(coolDown.reason)}; ` : "";
    return told("cooling", "resting", "warn", reason + again, false);
  }
  if (health.status === "unhealthy") return told("unhealthy", "failing", "bad", because(provider) + "asked last");
  if (breaker.state === "half_open") return told("half_open", "on trial", "warn", `${because(provider)}a few requests try it`);
  if (health.status === "degraded") return told("degraded", "shaky", "warn", because(provider) + "still asked");
  if (health.status === "unknown") return told("unknown", "ready", "off", "nobody has asked it yet");
  return told("healthy", "up", "good", checked(health));
}

/** Since when each provider is in its state: what the sidecar says, else what this page has seen. */
export class Since {
  #seen = new Map();

  /** `since 10:51:32 (2 min)`, or `for at least 2 min` of a state that was there before the page. */
  words(name, { key }, provider, now) {
    const before = this.#seen.get(name);
    if (before?.key !== key) this.#seen.set(name, { key, at: now, exact: before !== undefined });
    const told = ["open", "half_open"].includes(key) ? provider.circuit_breaker.open_since : null;
    const { at, exact } = this.#seen.get(name);
    if (told || exact) return `since ${clock(told || at)} (${span(now - (told || at))})`;
    return now - at < 10 ? "" : `for at least ${span(now - at)}`;
  }
}

function because({ circuit_breaker: breaker, health }) {
  const failures = breaker.failure_count || health.consecutive_failures;
  const last = health.last_error ? ` (${plain(health.last_error)})` : "";
  return failures ? `${several(failures, "failure")} in a row${last}; ` : "";
}

const checked = (health) => (health.last_check ? `last check ${clock(health.last_check)}` : "by its answers");
