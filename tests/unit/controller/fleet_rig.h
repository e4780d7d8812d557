/* A fleet over an invoker of its own and three hosts that are scripted: the calls of ports/far.h and ports/invoker.h as the test wants them. For the files
 * test_fleet*.c; one thread.
 */
#ifndef NR_TESTS_UNIT_CONTROLLER_FLEET_RIG_H
#define NR_TESTS_UNIT_CONTROLLER_FLEET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/fleet.h"

#ifndef RIG_HOSTS
#define RIG_HOSTS 3
#endif
enum { HOSTS = RIG_HOSTS, CALLS = 64 };

/* A scripted host. */
struct far {
    struct far_hello hello;
    void *owner;
    bool up, cordoned, takes;
    struct activation *calls[CALLS];
    size_t call_count;
    struct invoker_load load;
    int desired, maximum, wishes, knows, forgets, drains;
    uint64_t known; /* a revision that it was told */
    int images;
    void (*forgotten)(void *arg);
    void *forgotten_arg;
};

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    char data[64];
    struct invokers *f;
    struct far far[HOSTS];
    struct far_listener_config listener;
    struct activation *here[CALLS];
    size_t here_count;
    struct invoker_load load_here;
    uint64_t served_here; /* a revision that has a container */
    bool here_is_ill;
    int images_here, images_done;
    int wished_here, ends, forgotten, reloads;
    bool bad_certificate;
    const char *pin; /* NULL: it is a unix socket */
    int last_code;
    char last_text[512];
    struct function fn;
    bool closed;
};

/* The rig of the running test; the ports have no other way to find it. */
extern struct rig *the;

/* A literal, where a text that could be changed is asked for. */
char *text(const char *s);
/* It has done what it was asked with a callback: an account is forgotten, it is drained. */
void pay(struct far *f);
/* What had not started there comes back from inside. */
void bounce_all(struct far *f);
/* Opens one in the rig's folder, and its listener; as after a restart when there was one. */
void open_fleet(struct rig *r, bool local, const char *listen);
void close_fleet(struct rig *r);
/* An empty folder and hosts that have not joined; and the end of all. */
void setup(struct rig *r);
/* What is due in the loop, without waiting. */
void turn(struct rig *r);
/* A change by the administrator; its reply (made), or NULL with *ret_code. */
char *change(struct rig *r, enum invokers_op op, const char *name, const char *body, int *ret_code);
/* It is added and dials with its token. */
void join(struct rig *r, size_t i);
/* Its link ends. */
void lose(struct rig *r, size_t i);
void teardown(struct rig *r);
/* A call (made) of the rig's function. */
struct activation *call(struct rig *r);
/* Calls that some host has. */
size_t given(const struct rig *r);
/* Cuts those that have not ended, and frees all. */
void free_calls(struct rig *r, struct activation **all, size_t n);

#endif
