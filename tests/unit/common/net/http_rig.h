/* A server in a loop of its own and raw sockets against it, all in one thread: for the tests of common/net. The owner's answer follows
 * from the path; what the hooks were told is counted.
 */
#ifndef NR_TESTS_HTTP_RIG_H
#define NR_TESTS_HTTP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/net/http_server.h"

struct rig {
    struct nr_loop loop;
    struct nr_http_server *server;
    struct nr_http_config config; /* set by rig_config(), changed by the test before rig_open() */
    int port;
    int heads, requests, gones, ends, drained, bad_ends;
    bool closed, drain_idle;
    struct nr_link held; /* requests of /hold and /stream that wait for the test */
    int held_count;
    uint64_t file_within_ms;    /* what /file asks for, whose body goes to a file */
    struct nr_http_req *filing; /* the last request of /file */
    struct nr_buf
        seen; /* what the owner saw of the last request: method, path, query, headers, body */
};

/* The owner's request. */
struct own {
    struct nr_http_req http;
    struct nr_link link;
    struct nr_deadline later;
    uint32_t mark; /* must be zero at on_head */
};

/* A client socket. */
struct client {
    int fd;
    struct nr_buf got;
    bool eof, reset;
};

void rig_config(struct rig *rig);
void rig_open(struct rig *rig);
/* Closes the server, waits, asserts that every request seen had one end and that the loop closes clean. */
void rig_close(struct rig *rig);
/* Turns the loop until `done(arg)`; fails the test after 30 s. */
void rig_until(struct rig *rig, bool (*done)(void *arg), void *arg);
/* Turns the loop for that long. */
void rig_turn(struct rig *rig, unsigned ms);
/* The first held request, taken out. */
struct own *rig_held(struct rig *rig);
/* Waits until n are held. */
void rig_wait_held(struct rig *rig, int n);

void client_open(struct rig *rig, struct client *c);
void client_close(struct client *c);
/* Sends all bytes, turning the loop when the socket is full. Pieces of `piece` bytes with a turn between (0: whole). */
void client_send(struct rig *rig, struct client *c, struct nr_str bytes, size_t piece);
/* Waits until `text` was received (fails at the end of the connection), or, with NULL, for the end of the connection. */
void client_wait(struct rig *rig, struct client *c, const char *text);
bool client_has(const struct client *c, const char *text);
/* How often text was received. */
int client_count(const struct client *c, const char *text);
/* Where it occurs first in what was received; the test fails when it does not. */
size_t client_find(const struct client *c, const char *text);
/* Status of the first reply received; 0 when there is none. */
int client_status(const struct client *c);
/* Reads what is there without waiting. */
void client_poll(struct client *c);

#endif
