/** Building the page. Whatever a sidecar says is set as text, and never becomes markup. */

const SVG = "http://www.w3.org/2000/svg";

/** The element with that id. */
export const at = (id) => document.getElementById(id);

/** A fresh copy of a template: its root element, and by name the elements in it that have a `data-slot`. */
export function fromTemplate(id) {
  const root = at(id).content.firstElementChild.cloneNode(true);
  return { root, slots: slotsOf(root) };
}

/** The elements inside that have a `data-slot`, by its name. */
export const slotsOf = (root) =>
  Object.fromEntries([...root.querySelectorAll("[data-slot]")].map((element) => [element.dataset.slot, element]));

/** Set a text; one that is as it was is left alone, so that no reader is told of it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show or hide. */
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/** An HTML element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** An SVG element. */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SHAPES = {
  good: { d: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM4.8 8.2l2.3 2.3 4.2-4.6", hole: true },
  warn: { d: "M8 1.5 15 14H1zM8 6v4M8 11.8v.4", hole: true },
  bad: { d: "M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5zM5.5 5.5l5 5M10.5 5.5l-5 5", hole: true },
  off: { d: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM5 8h6", hole: false },
};

/** The mark of a tone: its shape alone tells it, whatever the colours. Decoration beside a word, so not read out. */
export function mark(tone) {
  const { d, hole } = SHAPES[tone];
  const [body, ...inside] = d.split("z");
  return draw(
    "svg",
    { viewBox: "0 0 16 16", class: `mark ${tone}`, "aria-hidden": "true", "data-tone": tone },
    draw("path", { d: `${body}z`, class: hole ? "body" : "ring" }),
    draw("path", { d: inside.join("z"), class: hole ? "sign" : "ring" }),
  );
}

/** Put the mark of a tone into a place, unless it is there. */
export function setMark(place, tone) {
  if (place.firstElementChild?.dataset.tone !== tone) place.replaceChildren(mark(tone));
}
