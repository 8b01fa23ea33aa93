/* A provider that is much faster than any proxy: one thread, epoll, fixed answers.
 *
 *   upstream PORT [MOODY_PORT]
 *
 * A POST whose body holds "stream":true (with or without a blank) is answered with server-sent events, then [DONE]; any
 * other request with one chat completion. Words anywhere in the body say how, so that one provider serves every play:
 *
 *   events=100 every=10   as many events, so many milliseconds apart; 0: as fast as they can be sent, 16 at a time
 *   mood=error            at the moody port only: status 500
 *   mood=cut              at the moody port only: a stream breaks off after its last event, without an end
 *   mood=close            at the moody port only: the connection is closed without an answer
 */
#include "server.h"

#define MOODY 1
/* Events in one write of a stream that does not wait. A connection that was idle may have ten segments on their way; with
 * one for each event it would be delayed acknowledgements that are measured, and not the proxy. */
#define BURST 16

#define JSON_HEAD "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s"
#define EVENT(delta, finish)                                                                                       \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"m\","    \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"

static char plain[1024], error[512], begin[256], token[512], burst[512 * BURST], end[512];
static size_t plain_size, error_size, begin_size, token_size, end_size;
static struct peer **streams; /* those under way that have to wait for the clock */
static int count, room;
static uint64_t next_due = UINT64_MAX;

static size_t answer(char *to, const char *status, const char *body) {
    return (size_t)sprintf(to, "HTTP/1.1 %s\r\n" JSON_HEAD, status, strlen(body), body);
}

static size_t chunk(char *to, const char *text) { return (size_t)sprintf(to, "%zx\r\n%s\r\n", strlen(text), text); }

static void compose(void) {
    plain_size = answer(plain, "200 OK",
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"m\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello there, how are you?\"},"
        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}");
    error_size = answer(error, "500 Internal Server Error",
        "{\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    begin_size = (size_t)sprintf(begin, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                        "Transfer-Encoding: chunked\r\n\r\n");
    token_size = chunk(token, EVENT("{\"content\":\" word\"}", "null"));
    for (int i = 0; i < BURST; i++) memcpy(burst + token_size * (size_t)i, token, token_size);
    end_size = chunk(end, EVENT("{}", "\"stop\"") "data: [DONE]\n\n");
    end_size += (size_t)sprintf(end + end_size, "0\r\n\r\n");
}

/* The number after a word of the body. */
static int number(const char *body, const char *word, int otherwise) {
    const char *found = strstr(body, word);
    return found ? atoi(found + strlen(word)) : otherwise;
}

static int has(const char *body, const char *word) { return strstr(body, word) != NULL; }

/* Nothing more is told to this client. */
static void hang_up(struct peer *peer) {
    peer->last = 1;
    if (!peer->out_size) drop(peer);
}

static void finish(struct peer *peer) {
    if (peer->stream.cut)
        hang_up(peer);
    else
        tell(peer, end, end_size);
}

static void list(struct peer *peer) {
    if (count == room && !(streams = realloc(streams, sizeof *streams * (size_t)(room = room * 2 + 64)))) exit(1);
    streams[count++] = peer;
    peer->stream.place = count;
    if (peer->stream.due < next_due) next_due = peer->stream.due;
}

static void lost(struct peer *peer) {
    int place = peer->stream.place;
    if (!place) return;
    peer->stream.place = 0;
    streams[place - 1] = streams[--count];
    if (place - 1 < count) streams[place - 1]->stream.place = place;
}

static void stream(struct peer *peer, int moody) {
    int every = number(peer->body, "every=", 0), events = number(peer->body, "events=", 100);
    peer->stream = (struct stream){.left = events, .every = every, .cut = moody && has(peer->body, "mood=cut")};
    tell(peer, begin, begin_size);
    if (every) {
        peer->stream.due = now_us() + (uint64_t)every * 1000;
        list(peer);
        return;
    }
    for (; events > 0; events -= BURST) tell(peer, burst, token_size * (size_t)(events < BURST ? events : BURST));
    finish(peer);
}

static void asked(struct peer *peer) {
    int moody = peer->door == MOODY;
    if (moody && has(peer->body, "mood=close"))
        hang_up(peer);
    else if (moody && has(peer->body, "mood=error"))
        tell(peer, error, error_size);
    else if (has(peer->body, "\"stream\":true") || has(peer->body, "\"stream\": true"))
        stream(peer, moody);
    else
        tell(peer, plain, plain_size);
}

static int clock_struck(uint64_t now) {
    if (now >= next_due) {
        for (int i = count - 1; i >= 0; i--) {
            struct peer *peer = streams[i];
            while (peer->stream.place && peer->stream.due <= now) {
                peer->stream.due += (uint64_t)peer->stream.every * 1000;
                if (peer->stream.left-- > 0) { tell(peer, token, token_size); continue; }
                lost(peer);
                finish(peer);
            }
        }
        next_due = UINT64_MAX;
        for (int i = 0; i < count; i++)
            if (streams[i]->stream.due < next_due) next_due = streams[i]->stream.due;
    }
    return count ? next_due <= now ? 0 : (int)((next_due - now) / 1000 + 1) : -1;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 1 + DOORS) { fprintf(stderr, "upstream PORT [MOODY_PORT]\n"); return 2; }
    compose();
    serve(argc, argv);
}
