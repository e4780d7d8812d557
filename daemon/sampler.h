/* Once a second what controller and invoker know of each function, and of the node, becomes samples on the bus. Loop's thread; samples are put together and
 * written on a work thread.
 */
#ifndef NR_DAEMON_SAMPLER_H
#define NR_DAEMON_SAMPLER_H

#include "common/bus/bus.h"
#include "common/net/loop.h"
#include "ports/gateway.h"
#include "ports/pace.h"

struct controller;
struct event;
struct invoker;
struct invokers;
struct sampler;

/* All kept; node (lent): this host's name. Begins at once. */
struct sampler *sampler_open(struct nr_loop *loop, struct bus *bus, struct controller *controller,
                             struct invokers *invokers, const char *node);
/* Samples are of this time (copied) from now on, and come so much oftener. At start. */
void sampler_pace(struct sampler *s, const struct pace *pace);
/* Each sample of a function (lent) is told to `tell` too, on the work thread; label: enum series_label. NULL: no more, and it is not being told when this
 * returns. */
void sampler_tell(struct sampler *s,
                  void (*tell)(void *arg, const struct sample *one, enum series_label label),
                  void *arg);
/* Calls of v's functions wait that may start nothing: samples of these go out now. v is lent until the second's samples are written, if these are under
 * way. NULL s is fine. */
void sampler_at_once(struct sampler *s, struct invoker *v);
/* What happened (lent) goes to the topic events. NULL is fine. */
void sampler_event(struct sampler *s, const struct event *e);
/* Nothing more is told: another process does it from now on. */
void sampler_hush(struct sampler *s);
/* Waits for the samples that are being written: runs the loop meanwhile. NULL is fine. */
void sampler_close(struct sampler *s);

#endif
