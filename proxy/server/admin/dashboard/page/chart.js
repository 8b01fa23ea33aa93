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

  /**
   * `lines` are series of equal length, the values from 0 to `top`, null for a gap; `faults` is one more, drawn as bars;
   * `label` says it all in words.
   */
  update(lines, { top, label, faults = [] }) {
    this.element.setAttribute("aria-label", label);
    const paths = lines.map((values, index) => this.#shapes(values, top, index)).flat();
    if (faults.length) paths.unshift({ d: this.#bars(faults, top), class: "fault" });
    const drawn = JSON.stringify(paths);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const grid = { d: `M0 ${this.height - 0.5}H${WIDTH}`, class: "axis" };
    this.element.replaceChildren(...[grid, ...paths].map((attributes) => draw("path", attributes)));
  }

  #shapes(values, top, index) {
    if (this.kind === "bars") return [{ d: this.#bars(values, top), class: "bar" }];
    const step = WIDTH / values.length;
    const floor = this.height - 1;
    let line = "";
    let area = "";
    for (const run of runsOf(values)) {
      const points = run.map(([place, value]) => `${round((place + 0.5) * step)} ${this.#y(value, top)}`);
      if (run.length === 1) points.push(`${round((run[0][0] + 1) * step)} ${this.#y(run[0][1], top)}`);
      line += `M${points.join("L")}`;
      area += `M${points[0].split(" ")[0]} ${floor}L${points.join("L")}L${points.at(-1).split(" ")[0]} ${floor}z`;
    }
    const shape = { d: line, class: `line line-${index}` };
    return index === 0 ? [{ d: area, class: "area" }, shape] : [shape];
  }

  #bars(values, top) {
    const step = WIDTH / values.length;
    const bar = (value, place) => `M${round((place + 0.5) * step)} ${this.height - 1}V${this.#y(value, top)}`;
    return values.map((value, place) => (value ? bar(value, place) : "")).join("");
  }

  #y(value, top) {
    return round(this.height - 1.5 - Math.min(1, value / top) * (this.height - 4));
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
