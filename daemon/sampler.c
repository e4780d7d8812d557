/* One second after another: the loop gathers the rows, a work thread writes them as samples and publishes them, the loop gives the spans back.
 *
 * While the work of one second lasts nothing is gathered; the next span is as much longer. The node's sample is published as the last of its second; over
 * the partitions of a broker it may still be read before others.
 *
 * Where calls wait that may start nothing a sample of their function goes out between two seconds, on the loop: few at a time, gauges only, so spans and what
 * others count are as without it. Never while a second's samples are written, which would then be of an earlier time than what was told.
 */
#include "daemon/sampler.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "daemon/sample_rows.h"
#include "ports/event.h"

struct sampler {
    struct nr_loop *loop;
    struct bus *bus;
    struct controller *controller;
    struct invokers *invokers;
    char *name;
    struct nr_deadline next;
    struct nr_work work;
    bool under_way, hushed;
    struct invoker
        *pressed; /* whose calls wait to be told of until the second is written; NULL: nobody's */
    uint64_t seq, begun_us; /* when the span began */
    int64_t t_ms, span_ms;  /* of the samples under way */
    struct pace pace;
    struct sample_rows rows;
    struct node_figures node;
    struct nr_buf key, text;
    pthread_mutex_t lock; /* of the next two; held for one sample */
    void (*tell)(void *arg, const struct sample *one, enum series_label label);
    void *tell_arg;
};

enum { PACED_LEAST_MS = 5 };

/* Wakes the scaler a little before the full second. */
static void arm(struct sampler *s)
{
    uint64_t paced_ms = (uint64_t)pace_real(&s->pace, FIGURES_SPAN_MS);

    nr_deadline_set(s->loop, &s->next,
                    s->pace.times <= 1          ? figures_wait_ms(nr_wall_ms(), FIGURES_SAMPLE_MS)
                    : paced_ms > PACED_LEAST_MS ? paced_ms
                                                : PACED_LEAST_MS);
}

static void publish(struct sampler *s, struct sample *one)
{
    one->t_ms = s->t_ms;
    one->node = nr_str_of(s->name);
    one->seq = ++s->seq;
    nr_buf_reset(&s->key, SAMPLE_MAX_BYTES);
    nr_buf_reset(&s->text, SAMPLE_MAX_BYTES);
    sample_key(one, &s->key);
    sample_write(one, &s->text);
    if (!s->key.failed && !s->text.failed)
        (void)bus_publish(s->bus, BUS_METRICS, nr_buf_str(&s->key), nr_buf_str(&s->text));
}

static void tell_of(void *arg, struct sample *one, enum series_label label)
{
    struct sampler *s = arg;

    publish(s, one);
    (void)pthread_mutex_lock(&s->lock);
    if (s->tell)
        s->tell(s->tell_arg, one, label);
    (void)pthread_mutex_unlock(&s->lock);
}

static void work(struct nr_work *w)
{
    struct sampler *s = nr_container_of(w, struct sampler, work);
    struct sample node;

    sample_rows_each(&s->rows, s->span_ms, tell_of, s);
    sample_rows_node(&s->node, s->span_ms, &node);
    publish(s, &node);
}

static void tell_at_once(struct sampler *s, struct invoker *v);

static void done(struct nr_work *w)
{
    struct sampler *s = nr_container_of(w, struct sampler, work);

    for (size_t i = 0; i < s->rows.call_count; i++)
        controller_span_back(s->controller, s->rows.calls[i].figures.span);
    sample_rows_clear(&s->rows);
    s->under_way = false;
    if (s->pressed)
        tell_at_once(s, s->pressed);
}

static void add_calls(void *arg, const struct call_figures *f)
{
    struct sampler *s = arg;

    if (!sample_rows_add_calls(&s->rows, f))
        controller_span_back(s->controller, f->span);
}

static void add_containers(void *arg, const struct container_figures *f)
{
    struct sampler *s = arg;

    (void)sample_rows_add_containers(&s->rows, f);
}

static void on_next(struct nr_deadline *d)
{
    struct sampler *s = nr_container_of(d, struct sampler, next);

    arm(s);
    if (s->under_way)
        return;
    uint64_t now_us = nr_mono_us();

    s->t_ms = pace_at(&s->pace, nr_wall_ms());
    s->span_ms = now_us > s->begun_us + 1000 ? (int64_t)((now_us - s->begun_us) / 1000) : 1;
    s->span_ms = pace_long(&s->pace, s->span_ms);
    s->begun_us = now_us;
    controller_figures(s->controller, add_calls, s);
    invokers_figures(s->invokers, add_containers, s, &s->node);
    s->under_way = true;
    s->work = (struct nr_work){.work = work, .done = done};
    nr_work_post(s->loop, &s->work);
}

/* ---- at once ---------------------------------------------------------------------------------------------------- */

static void add_pressed(void *arg, const struct container_figures *f)
{
    struct sampler *s = arg;
    struct call_figures calls;

    if (controller_inflight(s->controller, f->key, &calls) &&
        sample_rows_add_containers(&s->rows, f))
        (void)sample_rows_add_calls(&s->rows, &calls);
}

static void publish_at_once(void *arg, struct sample *one, enum series_label label)
{
    (void)label;
    sample_at_once(one);
    publish(arg, one);
}

static void tell_at_once(struct sampler *s, struct invoker *v)
{
    s->pressed = NULL;
    s->t_ms = pace_at(&s->pace, nr_wall_ms());
    invoker_pressed(v, add_pressed, s);
    sample_rows_each(&s->rows, 1, publish_at_once, s);
    sample_rows_clear(&s->rows);
}

void sampler_at_once(struct sampler *s, struct invoker *v)
{
    if (s == NULL)
        return;
    if (s->under_way)
        s->pressed = v;
    else
        tell_at_once(s, v);
}

void sampler_event(struct sampler *s, const struct event *e)
{
    struct nr_buf key, text;

    if (s == NULL || s->hushed)
        return;
    nr_buf_init(&key, SAMPLE_MAX_BYTES);
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    event_key(e, s->name, &key);
    event_write(e, s->name, nr_wall_ms(), &text);
    if (!key.failed && !text.failed)
        (void)bus_publish(s->bus, BUS_EVENTS, nr_buf_str(&key), nr_buf_str(&text));
    nr_buf_fini(&key);
    nr_buf_fini(&text);
}

struct sampler *sampler_open(struct nr_loop *loop, struct bus *bus, struct controller *controller,
                             struct invokers *invokers, const char *node)
{
    struct sampler *s = nr_alloc(sizeof(*s));

    *s = (struct sampler){.loop = loop,
                          .bus = bus,
                          .controller = controller,
                          .invokers = invokers,
                          .name = nr_strdup(node),
                          .begun_us = nr_mono_us()};
    s->next.fire = on_next;
    (void)pthread_mutex_init(&s->lock, NULL);
    sample_rows_init(&s->rows);
    nr_buf_init(&s->key, SAMPLE_MAX_BYTES);
    nr_buf_init(&s->text, SAMPLE_MAX_BYTES);
    arm(s);
    return s;
}

void sampler_pace(struct sampler *s, const struct pace *pace)
{
    s->pace = *pace;
    arm(s);
}

void sampler_tell(struct sampler *s,
                  void (*tell)(void *arg, const struct sample *one, enum series_label label),
                  void *arg)
{
    (void)pthread_mutex_lock(&s->lock);
    s->tell = tell;
    s->tell_arg = arg;
    (void)pthread_mutex_unlock(&s->lock);
}

void sampler_hush(struct sampler *s)
{
    s->hushed = true;
    nr_deadline_cancel(&s->next);
}

void sampler_close(struct sampler *s)
{
    if (s == NULL)
        return;
    nr_deadline_cancel(&s->next);
    while (s->under_way) {
        s->pressed = NULL;
        (void)uv_run(&s->loop->uv, UV_RUN_ONCE);
    }
    sample_rows_fini(&s->rows);
    (void)pthread_mutex_destroy(&s->lock);
    nr_buf_fini(&s->key);
    nr_buf_fini(&s->text);
    free(s->name);
    free(s);
}
