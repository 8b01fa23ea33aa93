/* How many values of each size there were: 256 steps to a doubling, so that a percentile is right to half a percent. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STEPS 256
#define DOUBLINGS 40

struct histogram {
    uint64_t count, most;
    uint64_t buckets[STEPS * DOUBLINGS];
};

static void histogram_add(struct histogram *h, uint64_t value) {
    int shift = value < STEPS ? 0 : 55 - __builtin_clzll(value); /* 55 = 63 - log2(STEPS) */
    uint64_t bucket = (uint64_t)shift * STEPS + (value >> shift);
    if (bucket >= STEPS * DOUBLINGS) bucket = STEPS * DOUBLINGS - 1;
    h->buckets[bucket]++;
    h->count++;
    if (value > h->most) h->most = value;
}

/* The value that `share` (0 to 1) of all values do not exceed; 0 when there are none. */
static uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t seen = 0, wanted = (uint64_t)(share * (double)h->count);
    for (uint64_t bucket = 0; bucket < STEPS * DOUBLINGS && h->count; bucket++) {
        seen += h->buckets[bucket];
        if (seen > wanted || seen == h->count) {
            uint64_t shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
            return (bucket - shift * STEPS) << shift;
        }
    }
    return 0;
}

/* As a member of a JSON object, in milliseconds. */
static void histogram_tell(const struct histogram *h, const char *name) {
    printf("\"%s\":{\"count\":%lu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, (unsigned long)h->count,
           (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.9) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
           (double)h->most / 1e3);
}

static void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

#endif
