/* The life of the shared objects of the ports: counting, freeing, names of their states. No decisions. */
#include "ports/activation.h"
#include "ports/grants.h"
#include "ports/target.h"

#include <stdarg.h>
#include <stdio.h>

struct activation *activation_make(void)
{
    struct activation *a = nr_try_alloc(sizeof(*a));

    if (a == NULL)
        return NULL;
    a->refs = 1;
    nr_arena_init(&a->arena, 2 * NR_PAYLOAD_MAX_BYTES + 65536);
    nr_buf_init(&a->reply, 4 * NR_RESULT_MAX_BYTES);
    nr_buf_init(&a->reply_head, 4096);
    nr_buf_init(&a->logs, 12u << 20);
    return a;
}

/* ---- the pool ---- */

/* What one of them keeps of its buffers. */
enum { KEEP_BYTES = 1024 };

struct activation_pool {
    struct nr_link free; /* by `queue` */
    size_t free_count, live;
    bool closed;
};

struct activation_pool *activation_pool_make(void)
{
    struct activation_pool *p = nr_alloc(sizeof(*p));

    nr_list_init(&p->free);
    return p;
}

struct activation *activation_pool_take(struct activation_pool *p)
{
    struct nr_link *l = nr_list_pop(&p->free);
    struct activation *a = l ? nr_container_of(l, struct activation, queue) : activation_make();

    if (a == NULL)
        return NULL;
    p->free_count -= l != NULL;
    p->live++;
    a->pool = p;
    return a;
}

static void free_memory(struct activation *a)
{
    nr_buf_fini(&a->reply);
    nr_buf_fini(&a->reply_head);
    nr_buf_fini(&a->logs);
    nr_arena_fini(&a->arena);
    free(a);
}

void activation_pool_close(struct activation_pool *p)
{
    struct nr_link *l;

    if (p == NULL)
        return;
    p->closed = true;
    while ((l = nr_list_pop(&p->free)))
        free_memory(nr_container_of(l, struct activation, queue));
    p->free_count = 0;
    if (p->live == 0)
        free(p);
}

/* As activation_make() left it, but for the memory that it has. */
static void clear(struct activation *a)
{
    nr_arena_reset(&a->arena);
    nr_buf_reset(&a->reply, KEEP_BYTES);
    nr_buf_reset(&a->reply_head, KEEP_BYTES);
    nr_buf_reset(&a->logs, KEEP_BYTES);
    const struct nr_arena arena = a->arena;
    const struct nr_buf reply = a->reply, reply_head = a->reply_head, logs = a->logs;

    memset(a, 0, offsetof(struct activation, error));
    a->refs = 1;
    a->arena = arena;
    a->reply = reply;
    a->reply_head = reply_head;
    a->logs = logs;
    a->error.code = 0;
    a->error.text[0] = '\0';
}

static void give_back(struct activation_pool *p, struct activation *a)
{
    p->live--;
    if (!p->closed && p->free_count + 1 <= ACTIVATION_POOL_MAX) {
        clear(a);
        nr_list_push(&p->free, &a->queue);
        p->free_count++;
        return;
    }
    free_memory(a);
    if (p->closed && p->live == 0)
        free(p);
}

/* ---- one ---- */

struct activation *activation_ref(struct activation *a)
{
    a->refs++;
    return a;
}

static void end_of_life(struct activation *a)
{
    nr_check(!nr_deadline_armed(&a->wait) && !nr_deadline_armed(&a->deadline) && a->slot == NULL);
    free(a->outcome.result_mem);
    function_unref(a->fn);
    account_unref(a->account);
    activation_unref(a->input_of);
    if (a->pool)
        give_back(a->pool, a);
    else
        free_memory(a);
}

void activation_unref(struct activation *a)
{
    while (a && --a->refs == 0) {
        struct activation *result_of = a->outcome.result_of;

        end_of_life(a);
        a = result_of;
    }
}

void activation_fail(struct activation *a, int code, const char *fmt, ...)
{
    va_list ap;

    if (a->err != 0)
        return;
    a->err = a->error.code = code;
    va_start(ap, fmt);
    (void)vsnprintf(a->error.text, sizeof(a->error.text), fmt, ap);
    va_end(ap);
}

const char *outcome_status_text(enum outcome_status s)
{
    static const char *const text[] = {"success", "application error", "action developer error",
                                       "whisk internal error"};

    return text[s];
}

const char *start_kind_text(enum start_kind s)
{
    static const char *const text[] = {"none", "warm", "frozen", "stem", "cold"};

    return text[s];
}

const char *cold_cause_text(enum cold_cause c)
{
    static const char *const text[] = {"",        "first call", "scale-out",
                                       "evicted", "updated",    "crashed"};

    return text[c];
}

struct function *function_ref(struct function *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void free_names(char **names)
{
    for (char **name = names; name && *name; name++)
        free(*name);
    free(names);
}

void function_unref(struct function *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    char *const texts[] = {
        f->account,         f->package, f->name,   f->path,    f->version,   f->kind,
        f->image,           f->exec,    f->main,   f->file,    f->code_path, f->parameters,
        f->init_parameters, f->limits,  f->reason, f->binding, f->web.secret};
    /* may hold secrets */
    nr_str_wipe(nr_str_of(f->parameters));
    nr_str_wipe(nr_str_of(f->init_parameters));
    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    free_names(f->final_names);
    free_names(f->bound_names);
    free_names(f->place);
    for (size_t i = 0; i < f->step_count; i++)
        function_target_fini(&f->steps[i]);
    free(f->steps);
    grants_unref(f->grants);
    free(f);
}

struct account *account_ref(struct account *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void account_unref(struct account *a)
{
    if (a == NULL || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(a->name);
    free(a->uuid);
    free(a->refused);
    free(a);
}
