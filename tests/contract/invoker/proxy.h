/* A relay in front of the Engine's socket that a test can switch off and on: off, nobody listens and every connection is cut.
 */
#ifndef NR_TESTS_CONTRACT_INVOKER_PROXY_H
#define NR_TESTS_CONTRACT_INVOKER_PROXY_H

#include <pthread.h>
#include <stdbool.h>

enum { PROXY_PAIRS = 32 };

struct proxy {
    char path[100];
    const char *to;
    pthread_t thread;
    int wake[2]; /* one byte: on '1', off '0', end 'x', answered by a byte on `done` */
    int done[2];
    int listener; /* -1: off */
    int pair[PROXY_PAIRS][2];
    int pairs;
};

/* Listens at path and relays to `to` (kept). */
void proxy_open(struct proxy *p, const char *path, const char *to);
/* Returns once it is so. */
void proxy_switch(struct proxy *p, bool on);
void proxy_close(struct proxy *p);

#endif
