/* A provider that is much faster than any proxy: one thread, epoll, fixed answers.
 *
 *   upstream PORT EVENTS INTERVAL_MS
 *
 * A POST whose body holds "stream":true (with or without a blank) gets EVENTS server-sent events, one every
 * INTERVAL_MS milliseconds (0: all at once), then [DONE]. Any other request gets one chat completion.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 65536
#define ROOM 65536

struct stream { int left; uint64_t due; int active; };

static char *in[MOST];
static int filled[MOST];
static struct stream streams[MOST];
static int events, interval, highest;
static char plain[1024], first[1024], token[512], last[512];
static int plain_size, first_size, token_size, last_size;

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int chunk(char *to, const char *text) { return sprintf(to, "%zx\r\n%s\r\n", strlen(text), text); }

static void compose(void) {
    const char *body =
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"Hello there, how are you?\"},\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}";
    plain_size = sprintf(plain, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                         strlen(body), body);
    first_size = sprintf(first, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    token_size = chunk(token, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
                              "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
                              "\"finish_reason\":null}]}\n\n");
    last_size = chunk(last, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
                            "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                            "data: [DONE]\n\n");
    last_size += sprintf(last + last_size, "0\r\n\r\n");
}

static void tell(int fd, const char *what, int size) {
    while (size > 0) {
        ssize_t sent = send(fd, what, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) continue;
        if (sent < 0) return;
        what += sent;
        size -= sent;
    }
}

static void forget(int fd) {
    streams[fd].active = 0;
    filled[fd] = 0;
    close(fd);
}

static void emit(int fd) {
    struct stream *s = &streams[fd];
    if (s->left-- > 0) {
        tell(fd, token, token_size);
        s->due += interval;
    } else {
        tell(fd, last, last_size);
        s->active = 0;
    }
}

static void answer(int fd, const char *body, int size) {
    if (!memmem(body, size, "\"stream\":true", 13) && !memmem(body, size, "\"stream\": true", 14)) {
        tell(fd, plain, plain_size);
        return;
    }
    tell(fd, first, first_size);
    streams[fd] = (struct stream){events, now_ms() + interval, 1};
    if (fd > highest) highest = fd;
    if (!interval)
        while (streams[fd].active) emit(fd);
}

static void take(int fd) {
    for (;;) {
        ssize_t got = recv(fd, in[fd] + filled[fd], ROOM - filled[fd] - 1, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) { forget(fd); return; }
        if (got < 0) return;
        filled[fd] += got;
        in[fd][filled[fd]] = 0;
        for (;;) {
            char *end = strstr(in[fd], "\r\n\r\n");
            if (!end) break;
            char *length = strcasestr(in[fd], "content-length:");
            int size = length && length < end ? atoi(length + 15) : 0;
            int whole = end + 4 - in[fd] + size;
            if (filled[fd] < whole) break;
            answer(fd, end + 4, size);
            memmove(in[fd], in[fd] + whole, filled[fd] - whole + 1);
            filled[fd] -= whole;
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "upstream PORT EVENTS INTERVAL_MS\n"); return 2; }
    events = atoi(argv[2]);
    interval = atoi(argv[3]);
    compose();
    struct rlimit most = {MOST, MOST};
    setrlimit(RLIMIT_NOFILE, &most);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) { perror("upstream"); return 1; }
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, ready[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
    uint64_t swept = 0;
    for (;;) {
        int count = epoll_wait(poll, ready, 512, interval ? 1 : -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) { take(fd); continue; }
            while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MOST) { close(fd); continue; }
                if (!in[fd]) in[fd] = malloc(ROOM);
                filled[fd] = 0;
                streams[fd].active = 0;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                wanted = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted);
            }
        }
        uint64_t now = interval ? now_ms() : 0;
        if (now == swept) continue;
        swept = now;
        for (int fd = 0; fd <= highest; fd++)
            while (streams[fd].active && streams[fd].due <= now) emit(fd);
    }
}
