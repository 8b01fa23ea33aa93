/* A server in one thread: epoll, keep-alive, and answers that wait where a client reads slowly.
 *
 * The program that includes it says what a request is answered (`asked`) and what is due by the clock (`clock_struck`).
 */
#ifndef SERVER_H
#define SERVER_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "message.h"

#define DOORS 2

struct peer {
    int fd, door;      /* which of the ports it came to */
    int gone;          /* closed; freed at the end of the turn */
    struct peer *buried_on;
    int last;          /* close when everything is sent */
    int wants_out;     /* epoll tells when the socket takes bytes again */
    char *body, *out;  /* the request's body; bytes that the socket has not taken yet */
    size_t body_size, body_room, out_size, out_room;
    struct stream {    /* for the program that includes this */
        int left;      /* events still to come */
        int every;     /* milliseconds between two of them */
        int cut;       /* it breaks off after the last of them */
        int place;     /* among the streams under way, from 1; 0: none is */
        uint64_t due;  /* microseconds */
    } stream;
    struct message in;
};

static int server_poll;
static struct peer *graveyard;
static int server_doors[DOORS];

static void asked(struct peer *peer);      /* a whole request is in peer->in.head and peer->body */
static int clock_struck(uint64_t now);     /* does what is due; returns milliseconds to the next thing, -1: nothing waits */
static void lost(struct peer *peer);       /* the client has left, or was told everything */

static void append(char **to, size_t *size, size_t *room, const char *bytes, size_t count) {
    if (*size + count + 1 > *room) {
        *room = (*size + count + 1) * 2;
        *to = realloc(*to, *room);
        if (!*to) { perror("realloc"); exit(1); }
    }
    memcpy(*to + *size, bytes, count);
    *size += count;
    (*to)[*size] = 0;
}

static void drop(struct peer *peer) {
    if (peer->gone) return;
    peer->gone = 1;
    peer->buried_on = graveyard;
    graveyard = peer;
    lost(peer);
    close(peer->fd);
}

static void bury(void) {
    for (struct peer *peer; (peer = graveyard);) {
        graveyard = peer->buried_on;
        free(peer->body), free(peer->out), free(peer);
    }
}

static void want(struct peer *peer, int out) {
    if (peer->wants_out == out) return;
    peer->wants_out = out;
    struct epoll_event wanted = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = peer};
    epoll_ctl(server_poll, EPOLL_CTL_MOD, peer->fd, &wanted);
}

/* Send now what the socket takes, and the rest when it takes more. */
static void tell(struct peer *peer, const char *bytes, size_t count) {
    if (peer->gone) return;
    if (!peer->out_size) {
        ssize_t sent = send(peer->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) { drop(peer); return; }
        if (sent > 0) bytes += sent, count -= (size_t)sent;
    }
    if (!count) return;
    append(&peer->out, &peer->out_size, &peer->out_room, bytes, count);
    want(peer, 1);
}

static void send_more(struct peer *peer) {
    ssize_t sent = send(peer->fd, peer->out, peer->out_size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) drop(peer);
        return;
    }
    peer->out_size -= (size_t)sent;
    memmove(peer->out, peer->out + sent, peer->out_size);
    if (peer->out_size) return;
    want(peer, 0);
    if (peer->last) drop(peer);
}

static void keep_body(void *owner, const char *bytes, size_t count) {
    struct peer *peer = owner;
    append(&peer->body, &peer->body_size, &peer->body_room, bytes, count);
}

static void hear(struct peer *peer) {
    static char bytes[65536];
    ssize_t got = recv(peer->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) { drop(peer); return; }
    for (size_t used = 0; used < (size_t)got && !peer->gone;) {
        used += message_read(&peer->in, bytes + used, (size_t)got - used, keep_body, peer);
        if (peer->in.part == GARBLED) { drop(peer); return; }
        if (peer->in.part != WHOLE) continue;
        asked(peer);
        peer->body_size = 0;
        message_begin(&peer->in);
    }
}

static void welcome(int door) {
    int fd, one = 1;
    while ((fd = accept4(server_doors[door], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *peer = calloc(1, sizeof *peer);
        if (!peer) { perror("calloc"); exit(1); }
        peer->fd = fd, peer->door = door;
        append(&peer->body, &peer->body_size, &peer->body_room, "", 0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(server_poll, EPOLL_CTL_ADD, fd, &wanted);
    }
}

static void open_door(int door, int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) { perror("listen"); exit(1); }
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &server_doors[door]};
    server_doors[door] = fd;
    epoll_ctl(server_poll, EPOLL_CTL_ADD, fd, &wanted);
}

/* Serve the ports named on the command line until somebody ends the program. */
static _Noreturn void serve(int argc, char **argv) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    server_poll = epoll_create1(0);
    for (int door = 0; door < argc - 1 && door < DOORS; door++) open_door(door, atoi(argv[door + 1]));
    for (;;) {
        struct epoll_event ready[512];
        int wait = clock_struck(now_us());
        bury();
        int count = epoll_wait(server_poll, ready, 512, wait);
        for (int i = 0; i < count; i++) {
            struct peer *peer = ready[i].data.ptr;
            if ((int *)peer >= server_doors && (int *)peer < server_doors + DOORS) {
                welcome((int)((int *)peer - server_doors));
                continue;
            }
            if (!peer->gone && ready[i].events & EPOLLOUT) send_more(peer);
            if (!peer->gone && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) hear(peer);
        }
    }
}

#endif
