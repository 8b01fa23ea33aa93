/** Numbers as people read them. Durations come in seconds, rates from 0 to 1, times as epoch seconds. */

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const COUNT = new Intl.NumberFormat("en-US");

export const NOTHING = "–";

/** `10:51:32`. */
export const clock = (time) => CLOCK.format(time * 1000);

/** `12,034`. */
export const count = (number) => COUNT.format(number);

/** `1 change`, `2 changes`. */
export const several = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

/** `340 ms`, `1.2 s`, `45 s`, `12 min`, `3 h`, `2 d`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return span(seconds);
}

/** The same without fractions, for what lasts: `45 s`, `12 min`. */
export function span(seconds) {
  if (seconds < 99.5) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** `100 %`, `99.3 %`, `0 %`: only what is whole reads as whole. */
export function percent(ratio) {
  if (ratio === null) return NOTHING;
  const shown = ratio > 0.9995 && ratio < 1 ? 99.9 : ratio * 100;
  return `${Number.isInteger(shown) ? shown : shown.toFixed(1)} %`;
}

/** `0`, `0.3`, `4.2`, `128`. */
export function rate(perSecond) {
  if (perSecond === 0) return "0";
  if (perSecond < 0.1) return "<0.1";
  return perSecond < 9.95 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

/** `rate_limited` as `rate limited`. */
export const plain = (name) => name.replaceAll("_", " ");

/** `a`, `a and b`, `a, b and c`. */
export const list = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
