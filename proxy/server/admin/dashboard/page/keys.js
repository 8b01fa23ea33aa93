/** Single keys as shortcuts: off while somebody writes or a modifier is held, and off altogether by choice. */

import { at } from "./dom.js";

const KEY = "sidestep-shortcuts";

/** `does` maps keys to what they do. */
export function listenToKeys(does) {
  const dialog = at("shortcuts");
  const choice = at("shortcuts-on");
  choice.checked = localStorage.getItem(KEY) !== "off";
  choice.addEventListener("change", () => localStorage.setItem(KEY, choice.checked ? "on" : "off"));
  at("help").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input, select, textarea");
    if (writing || dialog.open || !choice.checked || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = event.key === "?" ? () => dialog.showModal() : does[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
