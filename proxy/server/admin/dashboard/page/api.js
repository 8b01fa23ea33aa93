/** Asking the sidecar, with the token of this tab. The token is sent as a header; no cookie and no address holds it. */

const KEY = "sidestep-token";
const PATIENCE = 10_000;
const PERCEPTIBLE = 1.5;

let skew = 0;

/** The sidecar's clock as far as its answers tell, epoch seconds. */
export const now = () => Date.now() / 1000 + skew;

export const token = {
  get: () => sessionStorage.getItem(KEY),
  keep: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The sidecar refused, or could not be reached; `status` is 0 then. */
export class Refused extends Error {
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** Send one request and hand over the response once it is a good one. Throws Refused. */
export async function send(method, path, { body, signal } = {}) {
  const headers = { authorization: `Bearer ${token.get() ?? ""}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ?? AbortSignal.timeout(PATIENCE),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Refused(0, "the sidecar does not answer");
  }
  setClock(response.headers.get("date"));
  if (response.ok) return response;
  const document = await response.json().catch(() => ({}));
  throw new Refused(response.status, document.error?.message ?? `it answered ${response.status}`, document.problems);
}

/** Ask for a JSON document. Throws Refused. */
export async function ask(method, path, body) {
  const response = await send(method, path, { body });
  try {
    return await response.json();
  } catch {
    throw new Refused(0, "the answer broke off");
  }
}

const provider = (name, verb) => ask("POST", `/admin/providers/${name}/${verb}`);

/** What can be done by hand. */
export const actions = {
  enable: (name) => provider(name, "enable"),
  disable: (name) => provider(name, "disable"),
  check: (name) => provider(name, "check"),
  choose: (route, strategy) => ask("PUT", `/admin/routes/${route}/strategy`, { strategy }),
  takeBack: () => ask("POST", "/admin/overrides/reset"),
  resetCounts: () => ask("POST", "/admin/stats/reset"),
  reload: () => ask("POST", "/admin/reload"),
};

/** The header has whole seconds, so only a clock that is clearly off is corrected. */
function setClock(date) {
  const theirs = Date.parse(date ?? "") / 1000 + 0.5;
  if (Math.abs(theirs - now()) > PERCEPTIBLE) skew = theirs - Date.now() / 1000;
}
