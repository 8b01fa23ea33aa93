/* Questions to a proxy, from one thread that is much faster than any of them; every answer is checked.
 *
 *   load port=8080 connections=64 seconds=4 [requests=N] [mix=plain:80,stream:20] [events=100] [every=0] [header="a: b"]
 *        [probe=50] [progress=1] [hold=1] [quiet=1]
 *
 * Every connection asks, reads the whole answer, and asks again, until the seconds are over or so many were asked; what
 * is under way then is read to its end. `mix` gives the kinds (question.h) and their weights, `events` and `every` what a
 * stream is asked for. `probe` asks GET /livez every so many milliseconds on a connection of its own: how late its answer
 * is tells how long the proxy's event loop keeps a newcomer waiting. `progress` prints a line a second. `hold` asks once
 * on each connection, 16 at a time, and keeps all of them open until standard input ends. The first wrong answers are
 * shown on standard error, unless it is to be `quiet`.
 *
 * Prints JSON, one object a line; the last one has the totals. "in_time" counts the right answers that
 * came before the seconds were over, "events_in_time" the events.
 */
#include "question.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "histogram.h"

#define PATIENCE 30000000 /* microseconds without any byte, after which nothing more will come */
#define HOLD_AT_ONCE 16

enum state { IDLE, CONNECTING, READING };

struct connection {
    int fd;
    enum state state;
    enum kind kind;
    int probe;             /* it asks GET /livez and nothing else */
    int used;              /* it has had an answer before, so the server may close it at any time */
    uint64_t asked, event; /* microseconds: when the question was sent, when the last event came */
    uint64_t now;
    struct message in;
    struct answer answer;
};

static int port = 8080, connections = 1, events = 100, every, probe_every, progress, hold, quiet;
static double seconds;
static long requests;
static int weights[KINDS], all_weights;
static char headers[2048];

static int poll_fd, open_now, reading_now, complaints;
static long asked, answered, right_in_time, streams, event_count, events_in_time, wrong, left, again;
static uint64_t begun, deadline, heard;
static struct histogram latency, first, gap, probes, probes_now;
static const int one = 1;
static const char probe_text[] = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static enum kind draw(void) {
    static uint64_t seed = 88172645463325252ULL;
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    int point = (int)(seed % (uint64_t)all_weights), kind = 0;
    while (point >= weights[kind]) point -= weights[kind++];
    return (enum kind)kind;
}

static int may_ask(uint64_t now) { return (!requests || asked < requests) && now < deadline; }

static void shut(struct connection *c) {
    if (c->fd >= 0) close(c->fd), open_now--;
    if (c->state != IDLE && !c->probe) reading_now--;
    c->fd = -1, c->state = IDLE, c->used = 0;
}

static void complain(struct connection *c, const char *why) {
    wrong++;
    if (!quiet && complaints++ < 5)
        fprintf(stderr, "%s: %s; status %d, %d events, %d done, %d errors: %.300s\n", kind_names[c->kind], why,
                message_status(&c->in), c->answer.events, c->answer.done, c->answer.error, c->answer.text);
}

static void send_question(struct connection *c) {
    const char *bytes = c->probe ? probe_text : questions[c->kind].bytes;
    ssize_t size = c->probe ? (ssize_t)sizeof probe_text - 1 : questions[c->kind].size;
    c->state = READING, c->asked = c->event = now_us();
    if (send(c->fd, bytes, (size_t)size, MSG_NOSIGNAL) != size) return; /* the close that follows tells */
    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one); /* nobody is to wait for our acknowledgements */
    if (c->kind == LEAVE && !c->probe) left++, shut(c);
}

static void dial(struct connection *c) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) { perror("socket"); exit(1); }
    open_now++;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(c->fd, (struct sockaddr *)&at, sizeof at);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &wanted);
}

static void begin(struct connection *c) {
    if (!c->probe && c->state == IDLE) reading_now++;
    message_begin(&c->in);
    c->in.head[0] = 0;
    c->answer.events = c->answer.done = c->answer.error = c->answer.size = 0;
    c->state = CONNECTING;
    if (c->fd < 0) dial(c); else send_question(c);
}

static void ask(struct connection *c) {
    c->kind = draw();
    asked++;
    begin(c);
}

static void take(void *owner, const char *bytes, size_t count) {
    struct connection *c = owner;
    if (c->probe) return;
    if (!is_stream(c->kind)) { read_text(&c->answer, bytes, count); return; }
    int before = c->answer.events;
    read_events(&c->answer, bytes, count);
    for (int i = before; i < c->answer.events; i++) {
        if (i) histogram_add(&gap, c->now - c->event); else histogram_add(&first, c->now - c->asked);
        c->event = c->now;
    }
    event_count += c->answer.events - before;
    if (c->now < deadline) events_in_time += c->answer.events - before;
}

/* The answer is over, well or not. */
static void settle(struct connection *c, int whole) {
    if (c->probe) {
        histogram_add(&probes, c->now - c->asked), histogram_add(&probes_now, c->now - c->asked);
        if (message_status(&c->in) != 200) complain(c, "/livez is not well");
    } else {
        int right = is_right(c->kind, &c->in, &c->answer, whole, events);
        answered++;
        if (right && c->now < deadline) right_in_time++;
        if (!right) complain(c, whole ? "wrong answer" : "broken off");
        streams += is_stream(c->kind);
        if (!is_stream(c->kind)) histogram_add(&latency, c->now - c->asked);
        reading_now--;
    }
    c->state = IDLE, c->used = 1;
    if (!whole || message_says(&c->in, "connection:", "close")) shut(c);
}

static void hear(struct connection *c) {
    static char bytes[65536];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    c->now = heard = now_us();
    if (got <= 0) {
        if (c->state == READING && c->used && !c->in.head_size) {
            close(c->fd), open_now--; /* it was closed while our question was on its way: ask again on a new one */
            c->fd = -1, c->used = 0, again++;
            begin(c);
        } else if (c->state != IDLE) {
            settle(c, c->in.part == IN_BODY && c->in.left == NO_END && !got);
        } else {
            shut(c);
        }
        return;
    }
    size_t used = message_read(&c->in, bytes, (size_t)got, take, c);
    if (c->kind == LEAVE_STREAM && !c->probe && c->answer.events >= LEAVE_AFTER)
        left++, shut(c);
    else if (c->in.part == WHOLE && used == (size_t)got && c->state == READING)
        settle(c, 1);
    else if (c->in.part == WHOLE || c->in.part == GARBLED)
        settle(c, 0);
}

static void connected(struct connection *c) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &wanted);
    send_question(c);
}

static void tell_progress(uint64_t now) {
    static long before, events_before;
    printf("{\"second\":%.3f,\"requests\":%ld,\"events\":%ld,\"wrong\":%ld,\"answered\":%ld,",
           (double)(now - begun) / 1e6, answered + left - before, event_count - events_before, wrong, answered + left);
    histogram_tell(&probes_now, "probe_ms");
    printf("}\n");
    fflush(stdout);
    before = answered + left, events_before = event_count;
    histogram_clear(&probes_now);
}

static void tell_totals(uint64_t now) {
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double cpu = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    double window = (double)((now < deadline ? now : deadline) - begun) / 1e6;
    printf("{\"seconds\":%.6f,\"answered\":%ld,\"in_time\":%ld,\"left\":%ld,\"streams\":%ld,\"events\":%ld,"
           "\"events_in_time\":%ld,\"wrong\":%ld,\"again\":%ld,\"open\":%d,\"cpu\":%.3f,",
           window, answered, right_in_time, left, streams, event_count, events_in_time, wrong, again, open_now, cpu);
    histogram_tell(&latency, "latency_ms"), putchar(',');
    histogram_tell(&first, "first_ms"), putchar(',');
    histogram_tell(&gap, "gap_ms"), putchar(',');
    histogram_tell(&probes, "probe_ms");
    printf("}\n");
    fflush(stdout);
}

static int read_mix(char *text) {
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
        char *colon = strchr(part, ':');
        size_t size = colon ? (size_t)(colon - part) : strlen(part);
        int kind = 0;
        while (kind < KINDS && (strlen(kind_names[kind]) != size || strncmp(kind_names[kind], part, size))) kind++;
        if (kind == KINDS) return 0;
        weights[kind] = colon ? atoi(colon + 1) : 1;
        all_weights += weights[kind];
    }
    return all_weights > 0;
}

static int read_word(char *word) {
    char *value = strchr(word, '=');
    if (!value) return 0;
    *value++ = 0;
    static const struct { const char *name; int *to; } numbers[] = {
        {"port", &port}, {"connections", &connections}, {"events", &events}, {"every", &every},
        {"probe", &probe_every}, {"progress", &progress}, {"hold", &hold}, {"quiet", &quiet}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(word, numbers[i].name)) return *numbers[i].to = atoi(value), 1;
    if (!strcmp(word, "seconds")) return seconds = atof(value), 1;
    if (!strcmp(word, "requests")) return requests = atol(value), 1;
    if (!strcmp(word, "mix")) return read_mix(value);
    if (strcmp(word, "header")) return 0;
    size_t size = strlen(headers);
    return snprintf(headers + size, sizeof headers - size, "%s\r\n", value) < (int)(sizeof headers - size);
}

/* Whatever epoll says of this connection, and the next question when it is free. */
static void attend(struct connection *c) {
    if (c->state == CONNECTING) connected(c); else hear(c);
    while (c->state == IDLE && !c->probe && !hold && may_ask(heard)) ask(c);
}

/* Ask until everything is asked and answered, or nothing has come for long. */
static void play(struct connection *all, struct connection *prober) {
    uint64_t now = heard = begun = now_us(), next_probe = begun, next_line = begun + 1000000;
    int started = 0;
    deadline = seconds ? begun + (uint64_t)(seconds * 1e6) : UINT64_MAX;
    while ((reading_now || may_ask(now)) && now - heard < PATIENCE) {
        while (started < connections && reading_now < (hold ? HOLD_AT_ONCE : connections) && may_ask(now))
            ask(&all[started++]);
        if (hold && started == connections && !reading_now) break;
        if (probe_every && now >= next_probe && prober->state == IDLE) {
            begin(prober);
            next_probe = now + (uint64_t)probe_every * 1000;
        }
        if (progress && now >= next_line) tell_progress(now), next_line += 1000000;
        struct epoll_event ready[512];
        int count = epoll_wait(poll_fd, ready, 512, probe_every || progress ? 5 : 100);
        for (int i = 0; i < count; i++) attend(ready[i].data.ptr);
        now = now_us();
    }
    for (int i = 0; i < connections; i++)
        if (all[i].state != IDLE) complain(&all[i], "no answer came");
    if (progress) tell_progress(now);
    tell_totals(now);
}

/* Keep all connections until standard input ends; tell how many the other side has kept. */
static void keep(void) {
    char byte;
    while (read(0, &byte, 1) > 0) {}
    struct epoll_event ready[512];
    for (int count; (count = epoll_wait(poll_fd, ready, 512, 0)) > 0;)
        for (int i = 0; i < count; i++) hear(ready[i].data.ptr);
    printf("{\"open\":%d}\n", open_now);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (!read_word(argv[i])) { fprintf(stderr, "load: what is %s? See the top of load.c\n", argv[i]); return 2; }
    if (!all_weights) weights[PLAIN] = all_weights = 1;
    if (connections < 1 || (!seconds && !requests)) { fprintf(stderr, "load: how much?\n"); return 2; }
    for (int kind = 0; kind < KINDS; kind++) compose_question((enum kind)kind, events, every, headers);
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    struct connection *all = calloc((size_t)connections + 1, sizeof *all), *prober = all + connections;
    if (!all) { perror("calloc"); return 1; }
    for (int i = 0; i <= connections; i++) all[i].fd = -1;
    prober->probe = 1;
    poll_fd = epoll_create1(0);
    play(all, prober);
    if (hold) keep();
    return 0;
}
