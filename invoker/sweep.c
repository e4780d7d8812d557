/* What we have lost without knowing is found while we run, not only by the next start.
 *
 *   how it comes   an Engine that carries out a create after its deadline makes a container that nobody waits for any more. One that is
 *                  killed between the two halves of a start forgets the container: its processes run on, and no call reaches them
 *   look           every 5 s a worker asks whether the Engine is there (readiness hangs on the answer). Once a minute, and with every look
 *                  in the two minutes after a call that did not reach the Engine, it also lists our containers, and the control groups
 *                  in our parent group
 *   judge          on the loop. A container of the list that we do not know goes as an orphan of an earlier run goes. A control group
 *                  that neither we nor the Engine know, in two looks in a row, is ended: its processes are killed, its folders go
 *
 * Nothing is judged while we stop: what is left then is the next start's. Without a parent group (systemd has the control groups)
 * what the Engine has forgotten is not found.
 */
#include "invoker/sweep.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/cgroup_parent.h"
#include "invoker/internal.h"
#include "invoker/start.h"

enum {
    LOOK_MS = 5000,
    FULL_MS = 60000,
    DOUBT_MS = 120000,
    FIRST_DOUBT_MS = 15000, /* an earlier run's Engine may have forgotten some, too */
    GROUPS_MAX_BYTES = 1 << 20,
    ID_LETTERS = 64,
};

struct sweep {
    struct invoker *v;
    struct nr_deadline next;
    struct engine_job job;
    bool under_way, stopped;
    bool hurried;      /* the next look is a full one */
    uint64_t failures; /* of the Engine's calls, seen so far */
    uint64_t doubt_until_ms, full_ms;
    struct nr_buf unknown;   /* ids that nobody knew at the last full look, one a line */
    struct nr_buf suspects;  /* at the one before */
    struct nr_buf forgotten; /* in both: ended with the next look */
    /* of the look under way */
    bool full, listed;
    json_t *list;
    struct nr_buf groups;
};

/* ---- on a worker's thread ----------------------------------------------------------------------------------- */

/* Calls `each` for every line of text. */
static void each_id(struct sweep *s, struct nr_str text,
                    void (*each)(struct sweep *s, const char *id))
{
    struct nr_str line;
    char id[ID_LETTERS + 1];

    while (nr_str_split(&text, '\n', &line)) {
        if (line.n != ID_LETTERS)
            continue;
        memcpy(id, line.p, ID_LETTERS);
        id[ID_LETTERS] = '\0';
        each(s, id);
    }
}

static void end_group(struct sweep *s, const char *id)
{
    cgroup_parent_end(s->v->probe.cgroup_parent, id);
}

/* The groups first: whoever has one then, and is ours, is in the list. */
static void look_work(struct engine_worker *w, struct engine_job *j)
{
    struct sweep *s = nr_container_of(j, struct sweep, job);
    struct engine_reply reply = {0};

    if (!s->full) {
        (void)engine_call(w, "GET", "/_ping", (struct nr_str){NULL, 0}, ENGINE_PING_MS, &reply,
                          NULL);
        nr_buf_fini(&reply.body);
        return;
    }
    each_id(s, nr_buf_str(&s->forgotten), end_group);
    cgroup_parent_list(s->v->probe.cgroup_parent, &s->groups);
    s->list = adopt_list(s->v, w, NULL);
    s->listed = s->list != NULL && !s->groups.failed;
}

/* ---- judging, on the loop ----------------------------------------------------------------------------------- */

static bool known(const struct invoker *v, const char *id, const char *name)
{
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (strcmp(ct->id, id) == 0 || (name && strcmp(ct->name, name) == 0))
            return true;
    }
    for (struct nr_link *l = v->orphans.next; l != &v->orphans; l = l->next)
        if (strcmp(nr_container_of(l, struct remove_job, orphan)->id, id) == 0)
            return true;
    return false;
}

static void judge_containers(struct sweep *s)
{
    struct invoker *v = s->v;
    const json_t *each;
    size_t i;

    json_array_foreach(s->list, i, each) {
        const char *id = nr_json_string(each, "Id"), *name = adopt_name_of(each);

        if (!engine_is_id(id) || name[0] == '\0' || known(v, id, name) || beside_foreign(v, name))
            continue;
        nr_log(
            v->log, NR_LOG_WARN, "invoker",
            "container=%s: the Engine has it and nobody waits for it (a start that was answered too late): it goes",
            name);
        orphan_remove(orphan_make(v, id, name, each));
    }
}

static bool in_list(const json_t *list, const char *id)
{
    const json_t *each;
    size_t i;

    json_array_foreach(list, i, each) {
        const char *has = nr_json_string(each, "Id");

        if (has && strcmp(has, id) == 0)
            return true;
    }
    return false;
}

static void judge_group(struct sweep *s, const char *id)
{
    struct nr_str before = nr_buf_str(&s->suspects);

    if (known(s->v, id, NULL) || in_list(s->list, id))
        return;
    nr_buf_printf(&s->unknown, "%s\n", id);
    if (before.p == NULL || memmem(before.p, before.n, id, ID_LETTERS) == NULL)
        return;
    nr_buf_printf(&s->forgotten, "%s\n", id);
    nr_log(s->v->log, NR_LOG_WARN, "invoker",
           "container %.12s: the Engine has forgotten it; what runs in its control group is ended",
           id);
}

static void judge_groups(struct sweep *s)
{
    struct nr_buf before = s->suspects;

    s->suspects = s->unknown;
    s->unknown = before;
    nr_buf_reset(&s->unknown, SIZE_MAX);
    nr_buf_reset(&s->forgotten, SIZE_MAX);
    each_id(s, nr_buf_str(&s->groups), judge_group);
}

static void on_looked(struct engine_job *j)
{
    struct sweep *s = nr_container_of(j, struct sweep, job);
    struct invoker *v = s->v;

    s->under_way = false;
    if (s->listed && !s->stopped && !v->stopping && !v->expects) {
        s->full_ms = v->loop->now_ms;
        judge_containers(s);
        judge_groups(s);
    }
    json_decref(s->list);
    s->list = NULL;
    v->alive--;
    invoker_container_freed(v); /* the invoker may be gone now */
}

/* ---- when --------------------------------------------------------------------------------------------------- */

/* Has a call failed to reach the Engine since the last look? */
static bool doubtful(struct sweep *s)
{
    uint64_t failures = atomic_load(&engine_figures(s->v->engine)->failures);
    uint64_t now_ms = s->v->loop->now_ms;

    if (failures != s->failures)
        s->doubt_until_ms = now_ms + DOUBT_MS;
    s->failures = failures;
    return now_ms < s->doubt_until_ms;
}

static void on_next(struct nr_deadline *d)
{
    struct sweep *s = nr_container_of(d, struct sweep, next);
    struct invoker *v = s->v;

    nr_deadline_set(v->loop, d, LOOK_MS);
    if (s->under_way)
        return;
    s->under_way = true;
    s->full =
        doubtful(s) || s->hurried || s->unknown.n > 0 || v->loop->now_ms - s->full_ms >= FULL_MS;
    s->listed = s->hurried = false;
    nr_buf_reset(&s->groups, SIZE_MAX);
    s->job = (struct engine_job){.rank = RANK_PREWARM, .work = look_work, .done = on_looked};
    v->alive++;
    engine_submit(v->engine, &s->job);
}

struct sweep *sweep_open(struct invoker *v)
{
    struct sweep *s = nr_alloc(sizeof(*s));

    s->v = v;
    s->next.fire = on_next;
    s->doubt_until_ms = v->loop->now_ms + FIRST_DOUBT_MS;
    struct nr_buf *const bufs[] = {&s->unknown, &s->suspects, &s->forgotten, &s->groups};

    for (size_t i = 0; i < nr_countof(bufs); i++)
        nr_buf_init(bufs[i], GROUPS_MAX_BYTES);
    nr_deadline_set(v->loop, &s->next, LOOK_MS);
    return s;
}

void sweep_hurry(struct sweep *s)
{
    s->hurried = true;
}

void sweep_stop(struct sweep *s)
{
    if (s == NULL)
        return;
    s->stopped = true;
    nr_deadline_cancel(&s->next);
}

void sweep_free(struct sweep *s)
{
    if (s == NULL)
        return;
    nr_buf_fini(&s->unknown);
    nr_buf_fini(&s->suspects);
    nr_buf_fini(&s->forgotten);
    nr_buf_fini(&s->groups);
    free(s);
}
