/* The questions that the load asks, and whether an answer is what each of them must get. */
#ifndef QUESTION_H
#define QUESTION_H

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "message.h"

/* The last six are for a proxy whose first provider sits at the moody port of the upstream. */
enum kind { PLAIN, STREAM, FAILING, CLOSING, CUT, LEAVE, LEAVE_STREAM, KINDS };

static const char *kind_names[KINDS] = {"plain", "stream", "failing", "closing", "cut", "leave", "leave_stream"};
static const char *kind_moods[KINDS] = {"", "", " mood=error", " mood=close", " mood=cut", "", ""};

#define LEAVE_AFTER 3 /* events */
#define CUT_AFTER 3   /* events */

struct text { char bytes[4096]; int size; };

static struct text questions[KINDS];

static int is_stream(enum kind kind) { return kind == STREAM || kind == CUT || kind == LEAVE_STREAM; }

/* What came of one question so far. */
struct answer {
    int events, done, error, size;
    char text[8192]; /* the line that is being read; of a plain answer, all of it */
};

static void compose_question(enum kind kind, int events, int every, const char *headers) {
    char body[1024];
    if (kind == CUT) events = CUT_AFTER;
    if (kind == LEAVE_STREAM) every = every ? every : 5;
    int size = sprintf(body,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello, how are you today my friend? "
        "events=%d every=%d%s\"}]%s}", events, every, kind_moods[kind], is_stream(kind) ? ",\"stream\":true" : "");
    questions[kind].size = snprintf(questions[kind].bytes, sizeof questions[kind].bytes,
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Accept: */*\r\nUser-Agent: bench\r\n%sContent-Length: %d\r\n\r\n%s", headers, size, body);
}

/* A line of a stream is over. Events are told by their content, so that none that a proxy adds counts. */
static void judge_line(struct answer *a) {
    a->text[a->size] = 0;
    if (!strncmp(a->text, "data: [DONE]", 12))
        a->done++;
    else if (strstr(a->text, "\"error\""))
        a->error++;
    else if (strstr(a->text, "\" word\""))
        a->events++;
    a->size = 0;
}

static void read_text(struct answer *a, const char *bytes, size_t count) {
    size_t room = sizeof a->text - 1 - (size_t)a->size, part = count < room ? count : room;
    memcpy(a->text + a->size, bytes, part);
    a->size += (int)part;
}

static void read_events(struct answer *a, const char *bytes, size_t count) {
    for (const char *end; (end = memchr(bytes, '\n', count)); ) {
        size_t part = (size_t)(end - bytes) + 1;
        read_text(a, bytes, part);
        judge_line(a);
        bytes += part, count -= part;
    }
    read_text(a, bytes, count);
}

/* Is this what the question had to get? `whole`: the answer came to its end in good form. */
static int is_right(enum kind kind, const struct message *m, struct answer *a, int whole, int events) {
    int good = whole && message_status(m) == 200;
    a->text[a->size] = 0;
    if (kind == STREAM) return good && a->done == 1 && !a->error && a->events == events;
    /* Told of the break, or served by the other provider; never a good end that hides a missing one. */
    if (kind == CUT) return message_status(m) == 200 && (a->done ? good && !a->error : a->error == 1);
    return good && strstr(a->text, "Hello there, how are you?");
}

#endif
