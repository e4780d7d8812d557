/* Waiting for an errand on a thread that may: a flag, a lock and a condition; and what a function said that failed, out of its JSON. */
#include "ports/errand.h"

#include <pthread.h>

#include "common/base/json.h"

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool done;
};

static void on_done(struct errand_call *c)
{
    struct wait *w = c->wait;

    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->come);
    pthread_mutex_unlock(&w->lock);
}

/* {"error": text} is the text; another JSON text stands for itself. */
static void read_failure(struct errand_call *c)
{
    const struct nr_str text = nr_buf_str(&c->result);
    nr_auto_json json_t *o = nr_json_parse(text, NULL);
    const char *said = nr_json_string(o, "error");

    (void)snprintf(c->err.text, sizeof(c->err.text), "%.*s", said ? (int)strlen(said) : (int)text.n,
                   said     ? said
                   : text.n ? text.p
                            : "");
}

void errand_wait(void (*begin)(void *arg, struct errand_call *c), void *arg, struct errand_call *c)
{
    struct wait w = {.done = false};

    c->wait = &w;
    c->done = on_done;
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.come, NULL);
    begin(arg, c);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.come, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.come);
    pthread_mutex_destroy(&w.lock);
    c->wait = NULL;
    if (c->err.code != 0 && c->err.text[0] == '\0')
        read_failure(c);
}
