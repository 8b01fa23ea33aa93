/** The four figures of all traffic, each over its chart. */

import { Chart, peak } from "./chart.js";
import { fromTemplate, say } from "./dom.js";
import { quantile, share } from "./history.js";
import { clock, count, duration, percent, rate } from "./words.js";

const MINUTE = 60;
const WHOLE = 300;

/** Title, kind of chart, and `read(history, now)`: what to show. */
const TILES = [
  ["Requests", "lines", (history, now) => {
    const figure = rate(history.count(now, 10, (bucket) => bucket.requests) / 10);
    return { figure, unit: "per second", lines: [history.rates(now)], least: 1, top: rate };
  }],
  ["Answered", "lines", (history, now) => {
    const lines = [history.series(now, (bucket) => share(bucket.answers))];
    const lately = share(history.sum(now, MINUTE, (bucket) => bucket.answers));
    const faults = lines[0].map((value) => value === null ? null : 1 - value);
    return { figure: percent(lately), unit: "of the last minute", lines, faults, least: 1, top: percent };
  }],
  ["Latency", "lines", (history, now) => {
    const lines = [0.5, 0.95].map((part) =>
      history.series(now, (bucket) => quantile(bucket.answers.durations, part)));
    const { durations } = history.sum(now, MINUTE, (bucket) => bucket.answers);
    const figure = duration(quantile(durations, 0.5));
    const unit = `median, 95 % within ${duration(quantile(durations, 0.95))}`;
    return { figure, unit, lines, least: 0.01, top: duration };
  }],
  ["Failovers", "bars", (history, now) => {
    const lines = [history.series(now, (bucket) => bucket.failovers)];
    const total = history.count(now, WHOLE, (bucket) => bucket.failovers);
    const unit = history.covers(now, WHOLE) ? "in five minutes" : `since ${clock(history.since)}`;
    return { figure: String(total), unit, lines, least: 1, top: count };
  }],
];

/** Make the tiles; what comes back draws them anew. */
export function makeTiles(place) {
  const tiles = TILES.map(([title, kind, read]) => {
    const { root, slots } = fromTemplate("tile");
    const chart = new Chart(kind, 56);
    root.classList.add(title.toLowerCase());
    say(slots.title, title);
    slots.chart.append(chart.element);
    place.append(root);
    return { title, read, slots, chart };
  });
  return (history, now) => {
    for (const { title, read, slots, chart } of tiles) {
      const { figure, unit, lines, faults, least, top } = read(history, now);
      const highest = peak(lines, least);
      say(slots.figure, figure);
      say(slots.unit, unit);
      say(slots.peak, `top ${top(highest)}`);
      const label = `${title} over five minutes: ${figure} ${unit}, at most ${top(highest)}`;
      chart.update(lines, { top: highest, faults, label });
    }
  };
}
