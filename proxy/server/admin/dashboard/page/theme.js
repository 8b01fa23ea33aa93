// Light, dark, or as the system has it: chosen before the first paint, so this one is no module.
"use strict";
{
  const KEY = "sidestep-theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };
  const page = document.documentElement;

  const wear = (theme) => {
    page.dataset.theme = theme in NEXT ? theme : "auto";
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = NAMES[page.dataset.theme];
    button.setAttribute("aria-label", `Theme: ${page.dataset.theme}`);
  };

  wear(localStorage.getItem(KEY) ?? "auto");
  document.addEventListener("DOMContentLoaded", () => {
    wear(page.dataset.theme);
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem(KEY, NEXT[page.dataset.theme]);
      wear(NEXT[page.dataset.theme]);
    });
  });
}
