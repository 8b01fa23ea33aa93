/** The providers, one row each. Rows are changed in place, so that focus stays where it is. */

import { Chart, peak } from "./chart.js";
import { fromTemplate, say, setMark, slotsOf } from "./dom.js";
import { quantile, share } from "./history.js";
import { NOTHING, clock, count, duration, percent, plain, rate, span } from "./words.js";

const MINUTE = 60;

export class Providers {
  #rows = new Map();

  /** `toggle(name, enabled)` and `check(name)` are what the buttons do. */
  constructor(place, { toggle, check }) {
    this.place = place;
    this.does = { toggle, check };
  }

  /** Draw all of them, in the order in which they are asked. */
  update(status, conditions, since, history, now) {
    const named = Object.entries(status.providers).sort(([, one], [, other]) => one.priority - other.priority);
    for (const [name, row] of this.#rows) {
      if (!(name in status.providers)) {
        row.root.remove();
        this.#rows.delete(name);
      }
    }
    named.forEach(([name, provider], index) => {
      const row = this.#row(name);
      if (this.place.children[index] !== row.root) this.place.insertBefore(row.root, this.place.children[index] ?? null);
      state(row, provider, conditions[name], since[name], now);
      charts(row, name, history, now);
    });
  }

  /** Move the focus to the next provider, or by -1 to the one before. */
  step(by) {
    const articles = [...this.place.querySelectorAll("article")];
    const here = articles.findIndex((article) => article.contains(document.activeElement));
    const next = here < 0 ? (by > 0 ? 0 : articles.length - 1) : here + by;
    articles[Math.min(articles.length - 1, Math.max(0, next))]?.focus();
  }

  /** Press a button of the provider in focus: `toggle` or `check`. */
  press(button) {
    const article = document.activeElement?.closest(".provider article");
    if (article) slotsOf(article)[button].click();
  }

  #row(name) {
    if (this.#rows.has(name)) return this.#rows.get(name);
    const { root, slots } = fromTemplate("provider");
    const row = { root, slots, success: new Chart("lines", 34), latency: new Chart("lines", 34), enabled: true };
    root.dataset.provider = name;
    root.firstElementChild.setAttribute("aria-label", `Provider ${name}`);
    say(slots.name, name);
    slots["success-chart"].append(row.success.element);
    slots["latency-chart"].append(row.latency.element);
    slots.check.setAttribute("aria-label", `Check ${name}`);
    slots.toggle.addEventListener("click", () => this.does.toggle(name, !row.enabled));
    slots.check.addEventListener("click", () => this.does.check(name));
    this.#rows.set(name, row);
    return row;
  }
}

function state(row, provider, told, since, now) {
  const { slots } = row;
  row.enabled = provider.enabled;
  row.root.dataset.tone = told.tone;
  row.root.dataset.state = told.key;
  setMark(slots.mark, told.tone);
  say(slots.word, told.word);
  say(slots.since, since);
  say(slots.detail, told.detail);
  say(slots.flight, provider.queued ? `${provider.in_flight}, ${provider.queued} waiting` : count(provider.in_flight));
  say(slots.breaker, breaker(provider.circuit_breaker, now));
  say(slots.health, health(provider.health));
  say(slots.toggle, provider.enabled ? "Disable" : "Enable");
  slots.toggle.setAttribute("aria-label", `${provider.enabled ? "Disable" : "Enable"} ${row.root.dataset.provider}`);
}

function charts({ slots, success, latency }, name, history, now) {
  const tally = (bucket) => bucket.providers.get(name);
  const lately = history.sum(now, MINUTE, tally);
  const rates = [history.series(now, (bucket) => share(tally(bucket)))];
  const quantiles = [0.5, 0.95].map((part) => history.series(now, (bucket) => quantile(tally(bucket)?.durations, part)));
  const middle = duration(quantile(lately.durations, 0.5));
  const most = duration(quantile(lately.durations, 0.95));
  say(slots.rate, `${rate(history.sum(now, 10, tally).total / 10)} / s`);
  say(slots.success, percent(share(lately)));
  say(slots.latency, middle === NOTHING ? NOTHING : `${middle} · p95 ${most}`);
  const faults = rates[0].map((value) => value === null ? null : 1 - value);
  success.update(rates, { top: 1, faults, label: `Success over five minutes; in the last minute ${percent(share(lately))}` });
  const label = `Latency over five minutes; in the last minute ${middle} in the middle, 95 % within ${most}`;
  latency.update(quantiles, { top: peak(quantiles, 0.01), label });
}

function breaker({ state: name, opens_until: until }, now) {
  return name === "open" ? `open, ${span(until - now)}` : plain(name);
}

function health({ status, last_check: checked }) {
  return checked ? `${status}, ${clock(checked)}` : status;
}
