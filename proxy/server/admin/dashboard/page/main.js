/** The page's heart: takes in what the sidecar tells, and draws it at most four times a second. */

import { Refused, actions, ask, now, token } from "./api.js";
import { Since, condition } from "./condition.js";
import { showCounts } from "./counts.js";
import { at, show } from "./dom.js";
import { knock, open } from "./entry.js";
import { listen } from "./events.js";
import { Happenings } from "./happenings.js";
import { History } from "./history.js";
import { listenToKeys } from "./keys.js";
import { Link } from "./link.js";
import { finding, tellOutcome } from "./outcome.js";
import { Providers } from "./providers.js";
import { REMEMBERED, Requests } from "./requests.js";
import { Routes } from "./routes.js";
import { makeTiles } from "./tiles.js";
import { showVerdict, verdict } from "./verdict.js";

const POLL = 2000;
const FRAME = 250;
const NEWS = new Set(["breaker", "override", "reload"]); // after these the status is another one

const since = new Since();
const history = new History(now());
const link = new Link(at("link"));
const drawTiles = makeTiles(at("tiles"));
const requests = new Requests({
  place: at("requests"), none: at("requests-none"), held: at("held"), trouble: at("trouble"), pause: at("pause"),
});
const happenings = new Happenings({ place: at("events"), none: at("events-none"), announcer: at("announcer") });
const providers = new Providers(at("providers"), {
  toggle: (name, enabled) =>
    act(() => (enabled ? actions.enable(name) : actions.disable(name)), () => `${name} is ${enabled ? "enabled" : "disabled"}.`),
  check: (name) =>
    act(() => actions.check(name), ({ checks }) => `${name}: ${checks.map(finding).join("; ") || "nothing to check"}.`),
});
const routes = new Routes(at("routes"), (name, strategy) =>
  act(() => actions.choose(name, strategy), () => `${name} follows ${strategy.replaceAll("_", " ")}.`));

let status = null;
let session = null;
let frame = null;

/** Begin to show a sidecar that let us in. */
function enter(first) {
  session = new AbortController();
  take(first);
  drawAll();
  for (const id of ["dashboard", "leave", "help"]) show(at(id), true);
  listen({ heard: hear, joined, lost: parted, signal: session.signal });
  poll(session.signal);
}

/** Stop showing it, and ask for the token again. */
function leave(problem = "") {
  session?.abort();
  session = null;
  token.forget();
  for (const id of ["dashboard", "leave", "help", "link"]) show(at(id), false);
  open(problem);
}

async function poll(signal) {
  while (!signal.aborted) {
    await refresh(); // in the background too: the title of the tab tells
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

async function refresh() {
  try {
    take(await ask("GET", "/admin/status"));
  } catch (refused) {
    lost(refused);
  }
}

/** The stream is open: fetch what happened while it was not. */
async function joined() {
  link.stream(true);
  try {
    const { requests: past } = await ask("GET", "/admin/requests");
    const known = past.toReversed().map((entry) => !note(entry, { past: true })).some(Boolean);
    if (past.length < REMEMBERED) history.since = Math.min(history.since, now() - status.uptime);
    else if (!known) history.since = past.at(-1).time;
  } catch (refused) {
    lost(refused);
  }
}

function parted(refused) {
  link.stream(false, refused.message);
  lost(refused);
}

/** An answer failed to come: told by the age of what is shown, unless it was the token. */
function lost(refused) {
  if (!(refused instanceof Refused)) throw refused;
  if (!session) return;
  if (refused.status === 401) leave("The sidecar has another token now.");
  else schedule();
}

function hear({ name, data }) {
  if (name === "snapshot") take(data);
  else if (name === "request") note(data);
  else happenings.add({ name, data }, now());
  if (name === "dropped") history.addUnseen(data.events, now());
  if (NEWS.has(name)) refresh();
  link.hear(now());
  schedule();
}

/** Take in one request; false when it was known. */
function note(entry, { past = false } = {}) {
  if (!requests.add(entry)) return false;
  history.add(entry);
  if (past && entry.failover) tellOf(entry);
  return true;
}

/** The failovers of a request of the past, from its ladder. */
function tellOf({ attempts, time }) {
  attempts.slice(1).forEach(({ provider: to }, index) => {
    const { provider: from, class: reason } = attempts[index];
    if (from !== to) happenings.add({ name: "failover", data: { from, to, reason } }, time, { quietly: true });
  });
}

function take(document) {
  status = document;
  link.hear(now());
  schedule();
}

/** Do something by hand, and see what it changed. */
async function act(action, words) {
  await tellOutcome(action, words);
  await refresh();
}

function schedule() {
  frame ??= setTimeout(() => {
    frame = null;
    if (status && session) drawAll();
  }, FRAME);
}

function drawAll() {
  const time = now();
  const conditions = Object.fromEntries(
    Object.entries(status.providers).map(([name, provider]) => [name, condition(provider, time)]));
  const sinceWords = Object.fromEntries(
    Object.entries(status.providers).map(([name, provider]) => [name, since.words(name, conditions[name], provider, time)]));
  history.trim(time);
  showVerdict(at("verdict"), verdict(status, conditions, sinceWords), status);
  drawTiles(history, time);
  providers.update(status, conditions, sinceWords, history, time);
  routes.update(status, conditions);
  requests.update();
  happenings.update();
  link.update(time);
  showCounts(status);
}

at("leave").addEventListener("click", () => leave());
at("take-back").addEventListener("click", () => act(actions.takeBack, () => "As the files say again."));
at("reset-counts").addEventListener("click", () => act(actions.resetCounts, () => "Counting from 0."));
at("reload").addEventListener("click", () => act(actions.reload, (told) => `Files read: generation ${told.generation.slice(0, 8)}.`));
listenToKeys({
  j: () => providers.step(1),
  k: () => providers.step(-1),
  e: () => providers.press("toggle"),
  c: () => providers.press("check"),
  f: () => at("trouble").click(),
  p: () => at("pause").click(),
  t: () => at("theme").click(),
});
setInterval(schedule, 1000);
knock(enter);
