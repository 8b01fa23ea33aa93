/** The routes: what they take, whom they ask, and by which strategy. */

import { fromTemplate, make, say, show } from "./dom.js";
import { plain } from "./words.js";

const STRATEGIES = ["primary_only", "round_robin", "weighted_round_robin", "best_performance", "random_available"];

export class Routes {
  #rows = new Map();

  /** `choose(route, strategy)` is what the list of strategies does. */
  constructor(place, choose) {
    this.place = place;
    this.choose = choose;
  }

  /** Draw all of them, in the order of the file. */
  update(status, conditions) {
    const names = Object.keys(status.routes);
    for (const [name, row] of this.#rows) {
      if (!names.includes(name)) {
        row.root.remove();
        this.#rows.delete(name);
      }
    }
    names.forEach((name, index) => {
      const { root, slots } = this.#row(name);
      if (this.place.children[index] !== root) this.place.insertBefore(root, this.place.children[index] ?? null);
      this.#show(slots, status.routes[name], conditions);
    });
  }

  #row(name) {
    if (this.#rows.has(name)) return this.#rows.get(name);
    const row = fromTemplate("route");
    row.root.dataset.route = name;
    say(row.slots.name, name);
    row.slots.strategy.setAttribute("aria-label", `Strategy of ${name}`);
    row.slots.strategy.append(...STRATEGIES.map((value) => Object.assign(make("option", "", plain(value)), { value })));
    row.slots.strategy.addEventListener("change", () => this.choose(name, row.slots.strategy.value));
    this.#rows.set(name, row);
    return row;
  }

  #show(slots, route, conditions) {
    const model = route.model === "*" ? "any model" : route.model;
    say(slots.match, `${route.path ?? "any path"} · ${model} · policy ${route.policy}`);
    const order = route.providers.map((name) => `${name}${conditions[name]?.usable ? "" : " (not asked)"}`);
    say(slots.order, order.join(", "));
    if (document.activeElement !== slots.strategy) slots.strategy.value = route.strategy;
    say(slots.tag, `by hand; the file says ${plain(route.configured_strategy)}`);
    show(slots.tag, route.overridden);
  }
}
