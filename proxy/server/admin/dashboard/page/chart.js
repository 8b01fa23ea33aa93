/** Small charts drawn by hand: lines with gaps where nothing was measured, or bars, over five minutes. */

import { draw } from "./dom.js";

const WIDTH = 300;

/** A chart in an SVG of its own; `update(lines, {top, label})` draws it. `kind` is `lines` or `bars`. */
export class Chart {
  constructor(kind, height = 48) {
    this.kind = kind;
    this.height = height;
    this.drawn = "";
    this.element = draw("svg", {
      viewBox: `0 0 ${WIDTH} ${height}`,
      preserveAspectRatio: "none",
      class: `chart ${kind}`,
      role: "img",
    });
  }

  /** `lines` are series of equal length, the values from 0 to `top`, null for a gap; `label` says it in words. */
  update(lines, { top, label }) {
    this.element.setAttribute("aria-label", label);
    const paths = lines.map((values, index) => this.#path(values, top, index)).flat();
    const drawn = JSON.stringify(paths);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const grid = { d: `M0 ${this.height - 0.5}H${WIDTH}`, class: "axis" };
    this.element.replaceChildren(...[grid, ...paths].map((attributes) => draw("path", attributes)));
  }

  #path(values, top, index) {
    const step = WIDTH / values.length;
    const y = (value) => round(this.height - 1.5 - Math.min(1, value / top) * (this.height - 4));
    if (this.kind === "bars") {
      const bars = values.map((value, place) =>
        value ? `M${round((place + 0.5) * step)} ${this.height - 1}V${y(value)}` : "");
      return [{ d: bars.join(""), class: "bar" }];
    }
    const runs = runsOf(values);
    const line = runs.map((run) => {
      const points = run.map(([place, value]) => `${round((place + 0.5) * step)} ${y(value)}`);
      return `M${points.join("L")}${run.length === 1 ? "h0.01" : ""}`;
    });
    const area = runs.map((run) => {
      const points = run.map(([place, value]) => `${round((place + 0.5) * step)} ${y(value)}`);
      const [from, to] = [run[0][0], run.at(-1)[0]].map((place) => round((place + 0.5) * step));
      return `M${from} ${this.height - 1}L${points.join("L")}L${to} ${this.height - 1}z`;
    });
    const shapes = [{ d: line.join(""), class: `line line-${index}` }];
    return index === 0 ? [{ d: area.join(""), class: "area" }, ...shapes] : shapes;
  }
}

/** Runs of neighbours that have a value: `[[place, value], ...]` each. */
function runsOf(values) {
  const runs = [];
  values.forEach((value, place) => {
    if (value === null) return;
    if (place > 0 && values[place - 1] !== null) runs.at(-1).push([place, value]);
    else runs.push([[place, value]]);
  });
  return runs;
}

/** The greatest of some series, at least `least`. */
export const peak = (lines, least) => Math.max(least, ...lines.flat().map((value) => value ?? 0));

const round = (number) => Math.round(number * 10) / 10;
