/** The sidecar's own figures: how long it runs, what it counted, how much was changed by hand. */

import { at, say, show } from "./dom.js";
import { clock, count, percent, several, span } from "./words.js";

export function showCounts({ generation, uptime, statistics, providers, routes }) {
  const byHand = [...Object.values(providers), ...Object.values(routes)].filter((each) => each.overridden).length;
  show(at("take-back"), byHand > 0);
  say(at("take-back"), `Take back ${several(byHand, "change")} by hand`);
  say(at("about"), `generation ${generation.slice(0, 8)} · up ${span(uptime)}`);
  const answered = statistics.total_requests ? `, ${percent(statistics.success_rate)} answered` : "";
  const failed = statistics.failover_count ? `, ${count(statistics.failover_count)} failed over` : "";
  say(at("counts"), `Since ${clock(statistics.since)}: ${several(statistics.total_requests, "request")}${answered}${failed}`);
}
