/* One HTTP/1.1 message, read from bytes as they come: its head, and its body without the framing. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_ROOM 8192
#define NO_END (-1L)

enum part { IN_HEAD, IN_BODY, IN_SIZE, IN_CHUNK, IN_CHUNK_END, IN_TRAILER, WHOLE, GARBLED };

struct message {
    enum part part;
    int head_size; /* bytes; the head ends in \r\n\r\n and a zero byte */
    int line_size; /* of a chunk's size or of a trailer */
    long left;     /* bytes of the body or of the chunk that are still to come; NO_END: until the connection closes */
    char line[64];
    char head[HEAD_ROOM];
};

typedef void taker(void *owner, const char *bytes, size_t count);

static void message_begin(struct message *m) { m->part = IN_HEAD, m->head_size = 0, m->line_size = 0, m->left = 0; }

/* The value of a field of the head, or NULL. `name` ends in a colon. */
static const char *message_field(const struct message *m, const char *name) {
    size_t size = strlen(name);
    for (const char *line = strstr(m->head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, size)) return line + 2 + size + strspn(line + 2 + size, " \t");
    return NULL;
}

static int message_says(const struct message *m, const char *name, const char *value) {
    const char *found = message_field(m, name);
    return found && !strncasecmp(found, value, strlen(value));
}

/* The status code of an answer. */
static int message_status(const struct message *m) {
    return m->head_size > 12 && !strncmp(m->head, "HTTP/1.", 7) ? atoi(m->head + 9) : 0;
}

static void head_is_over(struct message *m) {
    const char *length = message_field(m, "content-length:");
    m->left = length ? atol(length) : 0;
    if (message_says(m, "transfer-encoding:", "chunked"))
        m->part = IN_SIZE;
    else if (!length && message_status(m) >= 200 && message_status(m) != 204 && message_status(m) != 304)
        m->left = NO_END, m->part = IN_BODY;
    else
        m->part = m->left ? IN_BODY : WHOLE;
}

/* A line of the framing has been read: a chunk's size, the blank after a chunk, or a trailer. */
static void line_is_over(struct message *m) {
    m->line[m->line_size] = 0;
    int empty = m->line_size == 0;
    m->line_size = 0;
    if (m->part == IN_CHUNK_END) {
        m->part = empty ? IN_SIZE : GARBLED;
    } else if (m->part == IN_TRAILER) {
        if (empty) m->part = WHOLE;
    } else {
        char *end;
        m->left = strtol(m->line, &end, 16);
        m->part = end == m->line || m->left < 0 ? GARBLED : m->left ? IN_CHUNK : IN_TRAILER;
    }
}

static size_t read_head(struct message *m, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (m->head_size == HEAD_ROOM - 1) { m->part = GARBLED; return count; }
        m->head[m->head_size++] = bytes[i];
        if (bytes[i] == '\n' && m->head_size >= 4 && !memcmp(m->head + m->head_size - 4, "\r\n\r\n", 4)) {
            m->head[m->head_size] = 0;
            head_is_over(m);
            return i + 1;
        }
    }
    return count;
}

static size_t read_line(struct message *m, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') { line_is_over(m); return i + 1; }
        if (bytes[i] == '\r') continue;
        if (m->line_size < (int)sizeof m->line - 1) m->line[m->line_size++] = bytes[i];
    }
    return count;
}

static size_t read_bytes(struct message *m, const char *bytes, size_t count, taker *take, void *owner) {
    if (m->left == NO_END) { take(owner, bytes, count); return count; }
    size_t part = count < (size_t)m->left ? count : (size_t)m->left;
    take(owner, bytes, part);
    m->left -= (long)part;
    if (!m->left) m->part = m->part == IN_CHUNK ? IN_CHUNK_END : WHOLE;
    return part;
}

/* Read on. Returns how many bytes belonged to this message: fewer than `count` only when it is WHOLE. */
static size_t message_read(struct message *m, const char *bytes, size_t count, taker *take, void *owner) {
    size_t used = 0;
    while (used < count && m->part != WHOLE && m->part != GARBLED) {
        if (m->part == IN_HEAD)
            used += read_head(m, bytes + used, count - used);
        else if (m->part == IN_BODY || m->part == IN_CHUNK)
            used += read_bytes(m, bytes + used, count - used, take, owner);
        else
            used += read_line(m, bytes + used, count - used);
    }
    return used;
}

#endif
