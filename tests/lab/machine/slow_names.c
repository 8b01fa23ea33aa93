/* A name server that is overloaded, for one program: loaded with LD_PRELOAD, it lets every name that ends in
 * .slow.invalid resolve to 127.0.0.1, but only after LAB_SLOW_NAMES seconds, in the thread that asked.
 *
 * In C, because libuv asks the C library itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char slow[] = ".slow.invalid";

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    lookup *quickly = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0, end = sizeof slow - 1;

    if (length > end && strcmp(name + length - end, slow) == 0) {
        const char *seconds = getenv("LAB_SLOW_NAMES");

        sleep(seconds ? (unsigned)atoi(seconds) : 0);
        name = "127.0.0.1";
    }
    return quickly(name, service, hints, found);
}
