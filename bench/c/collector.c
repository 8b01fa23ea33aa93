/* A collector for traces over OTLP/HTTP that takes everything at once and only counts.
 *
 *   collector PORT
 *
 * POST /v1/traces is answered with 200 and an empty message; GET / with the number of spans that came. The count is read
 * from the protobuf messages themselves: ExportTraceServiceRequest 1: ResourceSpans 2: ScopeSpans 2: Span.
 */
#include "server.h"

static unsigned long spans;

static const unsigned char *varint(const unsigned char *at, const unsigned char *end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; at < end && shift < 64; shift += 7) {
        *value |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) return at;
    }
    return NULL;
}

/* The number of fields of this number, `deeper` levels below; the numbers on the way are `path`'s. -1: garbled. */
static long fields(const unsigned char *at, const unsigned char *end, const int *path, int deeper) {
    long found = 0;
    while (at && at < end) {
        uint64_t key, size = 0;
        if (!(at = varint(at, end, &key))) return -1;
        switch (key & 7) {
            case 0: at = varint(at, end, &size); continue;
            case 1: at += 8; continue;
            case 5: at += 4; continue;
            case 2: break;
            default: return -1;
        }
        if (!(at = varint(at, end, &size)) || size > (uint64_t)(end - at)) return -1;
        if ((int)(key >> 3) == *path) {
            long below = deeper ? fields(at, at + size, path + 1, deeper - 1) : 1;
            if (below < 0) return -1;
            found += below;
        }
        at += size;
    }
    return at ? found : -1;
}

static void asked(struct peer *peer) {
    static const int path[] = {1, 2, 2};
    char told[256];
    if (!strncmp(peer->in.head, "POST /v1/traces", 15)) {
        const unsigned char *body = (const unsigned char *)peer->body;
        long found = fields(body, body + peer->body_size, path, 2);
        if (found < 0) {
            static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            tell(peer, refusal, sizeof refusal - 1);
            return;
        }
        spans += (unsigned long)found;
        static const char taken[] =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        tell(peer, taken, sizeof taken - 1);
        return;
    }
    char number[32];
    int size = sprintf(number, "%lu", spans);
    tell(peer, told, (size_t)sprintf(told, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, number));
}

static void lost(struct peer *peer) { (void)peer; }

static int clock_struck(uint64_t now) { (void)now; return -1; }

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "collector PORT\n"); return 2; }
    serve(argc, argv);
}
