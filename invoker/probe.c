/* The start-up probe: a few questions to the Engine, then one real container for each of its runtimes that we may use, which must dial in.
 *
 * Each finding is a line of the table: a capability, yes or no, what was found or what is done instead, and what a person can do about it.
 * Where there is a choice (runtime, seccomp profile, freezer, raising memory, network) the ways stand in a table, best first: the first
 * that works is taken, or the one that the configuration forces. Only a forced way that does not work ends the start.
 */
#include "invoker/probe.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/cgroup_parent.h"
#include "invoker/internal.h"
#include "invoker/platform.h"
#include "invoker/probe_container.h"
#include "invoker/probe_choice.h"
#include "invoker/probe_table.h"
#include "invoker/seccomp.h"

enum { PATH_MAX_BYTES = 512, POOL_MARGIN_PARTS = 16, POOL_MARGIN_MB = 256 };

static bool is_word(const char *forced, const char *word)
{
    return forced && strcmp(forced, word) == 0;
}

/* ---- questions ---------------------------------------------------------------------------------------------- */

json_t *probe_get(struct invoker *v, const char *path, int *ret_status)
{
    struct engine_reply reply = {0};
    int r = engine_call(engine_own_worker(v->engine), "GET", path, (struct nr_str){NULL, 0},
                        ENGINE_ASK_MS, &reply, NULL);
    json_t *j = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;

    *ret_status = r == 0 ? reply.status : 0;
    nr_buf_fini(&reply.body);
    return j;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = nr_json_string(o, key);

    return s ? s : "?";
}

static void add_runtime(struct probing *p, const json_t *runtimes, const char *name)
{
    for (unsigned i = 0; i < p->runtime_count; i++)
        if (strcmp(p->runtimes[i], name) == 0)
            return;
    if (p->runtime_count < RUNTIMES_MAX && json_object_get(runtimes, name))
        (void)snprintf(p->runtimes[p->runtime_count++], sizeof(p->runtimes[0]), "%s", name);
}

/* crun, runc, and what the Engine takes by itself; or the one that is forced. */
static void find_runtimes(struct probing *p, const json_t *info)
{
    const json_t *runtimes = json_object_get(info, "Runtimes");

    (void)snprintf(p->usual, sizeof(p->usual), "%s", text_of(info, "DefaultRuntime"));
    if (!probe_is_auto(p->c->runtime)) {
        add_runtime(p, runtimes, p->c->runtime);
        return;
    }
    add_runtime(p, runtimes, "crun");
    add_runtime(p, runtimes, "runc");
    add_runtime(p, runtimes, p->usual);
}

static void from_info(struct probing *p)
{
    struct probe *out = &p->v->probe;
    int status;
    nr_auto_json json_t *info = probe_get(p->v, "/info", &status);
    const char *cgroup = text_of(info, "CgroupVersion"), *driver = text_of(info, "CgroupDriver");
    bool live = json_is_true(json_object_get(info, "LiveRestoreEnabled"));
    json_t *each;
    size_t i;

    out->cgroup_v1 = strcmp(cgroup, "1") == 0;
    p->cgroupfs = strcmp(driver, "cgroupfs") == 0;
    probe_found(out, "engine", true, "%s, API %s, %s", engine_version(p->v->engine),
                engine_api(p->v->engine), text_of(info, "Driver"));
    probe_found(out, "cgroup", true, "v%s, driver %s", cgroup, driver);
    probe_found(out, "live-restore", live, "%s",
                live ? "an Engine restart leaves functions running"
                     : "an Engine restart kills all functions");
    probe_next(out, "set \"live-restore\": true in the Engine's daemon.json");
    json_array_foreach(json_object_get(info, "SecurityOptions"), i, each) {
        const char *option = json_string_value(each);

        out->seccomp = out->seccomp || (option && strncmp(option, "name=seccomp", 12) == 0);
    }
    find_runtimes(p, info);
}

/* Large ones that few hosts need; a deploy that needs one says what makes it. */
static bool made_on_request(const char *image)
{
    return strncmp(image, "narae/java:", 11) == 0;
}

static void from_images(struct probing *p)
{
    struct probe *out = &p->v->probe;
    char path[PATH_MAX_BYTES];

    for (const char *const *i = p->c->images; i && *i; i++) {
        int status;

        (void)snprintf(path, sizeof(path), "/images/%s/json", *i);
        nr_auto_json json_t *image = probe_get(p->v, path, &status);
        bool there = image && status == 200;

        if (!there && made_on_request(*i))
            continue;
        probe_found(out, "image", there, there ? "%s" : "%s is missing: its functions do not start",
                    *i);
        probe_next(out, "build it with %s", p->v->image_hint);
        if (there && (p->image == NULL || strstr(*i, "native")))
            p->image = *i;
    }
}

/* ---- trials ------------------------------------------------------------------------------------------------- */

/* The bound of the pool: what the containers may have together, and what the kernel takes besides. */
static void make_parent(struct probing *p)
{
    struct invoker *v = p->v;
    int64_t mb = v->node->memory_max_mb, margin = mb / POOL_MARGIN_PARTS;
    struct nr_err err = {0};

    if (!p->cgroupfs) {
        (void)snprintf(p->parent_why, sizeof(p->parent_why),
                       "the Engine leaves control groups to systemd");
        return;
    }
    (void)snprintf(v->probe.cgroup_parent, sizeof(v->probe.cgroup_parent), "/narae-%s",
                   v->installation);
    mb += margin > POOL_MARGIN_MB ? margin : POOL_MARGIN_MB;
    if (cgroup_parent_make(v->probe.cgroup_parent, mb << 20, v->node->cores, &err) < 0) {
        (void)snprintf(p->parent_why, sizeof(p->parent_why), "%s", err.text);
        v->probe.cgroup_parent[0] = '\0';
    } else {
        (void)snprintf(p->parent_why, sizeof(p->parent_why),
                       "%lld MB, and of the CPU the weight of one process on each core",
                       (long long)mb);
    }
}

/* With all we want; when the agent does not dial in, without our profile, then without our parent, to know which one it was. */
static void try_runtime(struct probing *p, unsigned at)
{
    const struct probe *out = &p->v->probe;
    const bool wants[][2] = {{true, true}, {false, true}, {true, false}};
    struct trial *t = &p->trials[at];

    for (size_t i = 0; i < nr_countof(wants); i++) {
        bool profile = p->profile && wants[i][0], parent = out->cgroup_parent[0] && wants[i][1];

        if (i > 0 && (profile ? 1 : 0) == (p->profile ? 1 : 0) &&
            parent == (out->cgroup_parent[0] != '\0'))
            continue; /* as the first time */
        trial_remove(p->v, t, true);
        *t = (struct trial){.seccomp = profile ? p->profile : NULL,
                            .ask_engine_freezer = is_word(p->c->freezer, "engine"),
                            .ask_engine_raise = is_word(p->c->memory_raise, "engine"),
                            .network = p->v->network};
        _Static_assert(sizeof(t->runtime) == sizeof(p->runtimes[0]), "copied whole");
        memcpy(t->runtime, p->runtimes[at], sizeof(t->runtime));
        if (parent)
            (void)snprintf(t->cgroup_parent, sizeof(t->cgroup_parent), "%s", out->cgroup_parent);
        trial_run(p->v, p->image, t);
        if (t->dial_in.yes)
            return;
    }
}

static void try_runtimes(struct probing *p)
{
    for (unsigned i = 0; i < p->runtime_count; i++) {
        static const struct finding none = {.text = "not tried: none of our images is there"};
        struct trial *t = &p->trials[i];
        char name[32];

        if (p->image)
            try_runtime(p, i);
        else
            t->dial_in = t->memory_limit = t->freezer = t->raise = t->exit_status = t->oom_count =
                t->pool_cap = t->engine_freezer = t->engine_raise = none;
        (void)snprintf(name, sizeof(name), "runtime %.20s", p->runtimes[i]);
        probe_found(&p->v->probe, name, t->dial_in.yes, "%s", t->dial_in.text);
        probe_next(&p->v->probe, p->image ? "see docs/engine.md; --runtime=NAME takes another"
                                          : "build the images and start again");
    }
}

int probe_run(struct invoker *v, const struct invoker_config *c, struct nr_err *err)
{
    struct probing p = {.v = v, .c = c};
    uint64_t begun_us = nr_mono_us();

    from_info(&p);
    from_images(&p);
    p.profile = v->probe.seccomp && !is_word(c->seccomp, "engine")
                    ? seccomp_profile(platform_here())
                    : NULL;
    make_parent(&p);
    open_network(&p);
    try_runtimes(&p);
    int r = choose_runtime(&p, err);

    if (r == 0)
        r = choose_seccomp(&p, err);
    if (r == 0)
        tell_trial(&p);
    if (r == 0)
        r = choose_doers(&p, err);
    if (r == 0)
        r = choose_network(&p, err);
    for (unsigned i = 0; i < p.runtime_count; i++)
        trial_remove(v, &p.trials[i], r < 0);
    if (r < 0) {
        if (!v->beside)
            cgroup_parent_remove(v->probe.cgroup_parent);
        network_undo(v->network);
        v->network = NULL;
    }
    free(p.profile);
    v->probe.probe_ms = (int64_t)(nr_mono_us() - begun_us) / 1000;
    probe_tell(&v->probe, v->log);
    return r;
}
