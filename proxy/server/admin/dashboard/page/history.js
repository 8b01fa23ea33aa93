/** The last five minutes as the page has heard of them, in buckets of five seconds: what the charts are drawn from. */

export const BUCKET = 5;
export const BUCKETS = 60;
const SAMPLES = 200; // durations kept per bucket; beyond that a fair draw of them

/** Attempts that tell nothing of the provider: our own limits, the client's doing, a question that nobody can answer. */
const NO_VERDICT = new Set([
  "cancelled", "shed", "invalid_request", "content_policy", "context_length", "unsupported",
]);

/** Counts of one kind within one bucket. */
class Tally {
  total = 0;
  good = 0;
  durations = [];

  add(good, seconds) {
    this.total += 1;
    if (!good) return;
    this.good += 1;
    if (this.durations.length < SAMPLES) this.durations.push(seconds);
    else if (Math.random() < SAMPLES / this.good) this.durations[Math.floor(Math.random() * SAMPLES)] = seconds;
  }
}

class Bucket {
  requests = 0;
  failovers = 0;
  answers = new Tally();
  providers = new Map();

  provider(name) {
    if (!this.providers.has(name)) this.providers.set(name, new Tally());
    return this.providers.get(name);
  }
}

/** Whether a request counts for or against the sidecar: one that was wrong or whose client left does neither. */
const judged = (entry) => entry.status === 429 || !["refused", "cancelled"].includes(entry.outcome);

export class History {
  #buckets = new Map();

  /** `since` is when every request began to be known, epoch seconds. */
  constructor(since) {
    this.since = since;
  }

  /** Whether the last `seconds` are known to the whole. */
  covers(time, seconds) {
    return this.since <= time - seconds;
  }

  /** Requests per second, bucket by bucket; null before what is known, and while a bucket is too young to tell. */
  rates(time) {
    const first = Math.ceil(this.since / BUCKET);
    const last = Math.floor((time - BUCKET / 2) / BUCKET);
    const newest = Math.floor(time / BUCKET);
    return this.series(time, (bucket, seconds) => bucket.requests / seconds).map((value, index) => {
      const number = newest - BUCKETS + 1 + index;
      return number < first || number > last ? null : value ?? 0;
    });
  }

  /** Count one finished request. */
  add(entry) {
    const bucket = this.#bucket(entry.time);
    bucket.requests += 1;
    if (entry.failover) bucket.failovers += 1;
    if (judged(entry)) bucket.answers.add(["ok", "degraded"].includes(entry.outcome), entry.milliseconds / 1000);
    for (const attempt of entry.attempts) {
      if (NO_VERDICT.has(attempt.class)) continue;
      bucket.provider(attempt.provider).add(attempt.class === "ok", attempt.ms / 1000);
    }
  }

  /** Count requests of which no more is known than that they were. */
  addUnseen(number, time) {
    this.#bucket(time).requests += number;
  }

  /** One value per bucket, the oldest first: `read(bucket, seconds)`, null where there was nothing. */
  series(time, read) {
    const last = Math.floor(time / BUCKET);
    return Array.from({ length: BUCKETS }, (_, index) => {
      const number = last - BUCKETS + 1 + index;
      const bucket = this.#buckets.get(number);
      const seconds = number === last ? Math.max(1, time - last * BUCKET) : BUCKET;
      return bucket ? read(bucket, seconds) : null;
    });
  }

  /** All tallies that `read` finds in the last `seconds`, as one. */
  sum(time, seconds, read) {
    const whole = { total: 0, good: 0, durations: [] };
    for (const bucket of this.#recent(time, seconds)) {
      const tally = read(bucket);
      if (!tally) continue;
      whole.total += tally.total;
      whole.good += tally.good;
      whole.durations.push(...tally.durations);
    }
    return whole;
  }

  /** The sum of a number over the last `seconds`. */
  count(time, seconds, read) {
    return this.#recent(time, seconds).reduce((sum, bucket) => sum + read(bucket), 0);
  }

  /** Forget what is older than the charts. */
  trim(time) {
    const oldest = Math.floor(time / BUCKET) - BUCKETS;
    for (const number of this.#buckets.keys()) if (number < oldest) this.#buckets.delete(number);
  }

  #bucket(time) {
    const number = Math.floor(time / BUCKET);
    if (!this.#buckets.has(number)) this.#buckets.set(number, new Bucket());
    return this.#buckets.get(number);
  }

  #recent(time, seconds) {
    const oldest = Math.floor((time - seconds) / BUCKET) + 1;
    return [...this.#buckets].filter(([number]) => number >= oldest).map(([, bucket]) => bucket);
  }
}

/** The share of good ones; null of none. */
export const share = (tally) => (tally?.total ? tally.good / tally.total : null);

/** The value below which that share of the durations lies; null of none. */
export function quantile(durations, part) {
  if (!durations?.length) return null;
  const sorted = durations.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}
