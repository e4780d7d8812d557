/* What the probe chooses, and the lines that tell of it: for each choice a table of ways, best first, from what the trials found. */
#include "invoker/probe_choice.h"

#include "common/base/json.h"
#include "invoker/cgroup_parent.h"
#include "invoker/internal.h"
#include "invoker/probe_table.h"

int probe_choose(const char *option, const char *forced, const struct way *ways, size_t count,
                 struct nr_err *err)
{
    char words[160] = "auto";

    for (size_t i = 0; i < count; i++) {
        if (forced == NULL || strcmp(forced, "auto") == 0 ? ways[i].works
                                                          : strcmp(forced, ways[i].word) == 0) {
            if (ways[i].works)
                return (int)i;
            return nr_err_set(err, NR_EUNAVAIL,
                              "--%s=%s does not work here (%s): take --%s=auto, or repair it",
                              option, forced, ways[i].why_not, option);
        }
        (void)snprintf(words + strlen(words), sizeof(words) - strlen(words), ", %s", ways[i].word);
    }
    return nr_err_set(err, NR_EINVAL, "--%s=%s is not known here: take one of %s", option,
                      forced ? forced : "auto", words);
}

bool probe_is_auto(const char *forced)
{
    return forced == NULL || strcmp(forced, "auto") == 0;
}

int choose_runtime(struct probing *p, struct nr_err *err)
{
    struct way ways[RUNTIMES_MAX + 1];
    struct probe *out = &p->v->probe;
    size_t n = p->runtime_count;

    for (size_t i = 0; i < n; i++)
        ways[i] = (struct way){p->runtimes[i], p->trials[i].dial_in.yes, p->trials[i].dial_in.text};
    if (probe_is_auto(p->c->runtime)) /* none works, or none could be tried: the Engine's default */
        ways[n++] = (struct way){p->usual, true, ""};
    if (n == 0)
        return nr_err_set(
            err, NR_EINVAL,
            "--runtime=%s: the Engine knows no such runtime; name it in its daemon.json (docs/engine.md) or take --runtime=auto",
            p->c->runtime);
    int r = probe_choose("runtime", p->c->runtime, ways, n, err);

    if (r < 0)
        return r;
    p->chosen = (unsigned)r < p->runtime_count ? (unsigned)r : 0;
    bool works = (unsigned)r < p->runtime_count;

    if (works)
        (void)snprintf(out->runtime, sizeof(out->runtime), "%s", ways[r].word);
    probe_found(out, "runtime", works,
                works ? "%s" : "none was found to work; the Engine's default, %s", ways[r].word);
    probe_next(out, "the lines of the runtimes tell why");
    return 0;
}

int probe_seccomp(const char *forced, bool own, const char *why_not_own, bool engine_filters,
                  struct nr_err *err)
{
    const struct way ways[] = {{"own", own, why_not_own}, {"engine", true, ""}};

    if (probe_is_auto(forced) && !own && !engine_filters)
        return nr_err_set(
            err, NR_EUNAVAIL,
            "the Engine does not say that it can filter system calls (seccomp): use an Engine and a kernel that were built with it, "
            "or take --seccomp=engine, with which functions run unfiltered there");
    return probe_choose("seccomp", forced, ways, nr_countof(ways), err);
}

int choose_seccomp(struct probing *p, struct nr_err *err)
{
    struct probe *out = &p->v->probe;
    const struct trial *t = &p->trials[p->chosen];
    bool own = p->profile && (t->seccomp || !t->dial_in.yes);
    int r = probe_seccomp(p->c->seccomp, own,
                          p->profile     ? "no container starts with it"
                          : out->seccomp ? "there is none for this machine"
                                         : "the Engine cannot filter system calls",
                          out->seccomp, err);

    if (r < 0)
        return r;
    if (r == 0) {
        p->v->seccomp = p->profile;
        p->profile = NULL;
    }
    probe_found(out, "seccomp", out->seccomp, "%s",
                r == 0         ? "our profile, for one architecture"
                : out->seccomp ? "the Engine's default profile"
                               : "functions run unfiltered");
    probe_next(out, "use an Engine and a kernel that were built with seccomp");
    return 0;
}

/* The two things that the control group's files, the Engine or nobody can do; the same words for both. */
static int choose_doer(struct probing *p, const char *option, const char *name, const char *forced,
                       const struct finding *files, const struct finding *engine,
                       const char *without, int *ret, struct nr_err *err)
{
    struct probe *out = &p->v->probe;
    /* what could not be tried is left to the Engine, which says so when it cannot */
    bool untried = !p->trials[p->chosen].dial_in.yes;
    const struct way ways[] = {
        {"cgroup", files->yes, files->text},
        {"engine", engine->yes || untried, engine->text},
        {"off", true, ""},
    };
    int r = probe_choose(option, forced, ways, nr_countof(ways), err);

    if (r < 0)
        return r;
    *ret = 2 - r; /* enum freezer and enum memory_raise begin with the worst */
    if (r == 0)
        probe_found(out, name, true, "%s", files->text);
    else if (r == 1)
        probe_found(out, name, !probe_is_auto(forced), "%s%s%s",
                    engine->yes ? engine->text : "the Engine is asked",
                    probe_is_auto(forced) ? ", for " : "",
                    probe_is_auto(forced) ? files->text : "");
    else
        probe_found(out, name, !probe_is_auto(forced), "%s", without);
    probe_next(
        out,
        "let naraed see the Engine's control groups: root, no cgroup or mount namespace of its own");
    return 0;
}

int choose_doers(struct probing *p, struct nr_err *err)
{
    struct probe *out = &p->v->probe;
    const struct trial *t = &p->trials[p->chosen];
    int freezer = FREEZER_OFF, raise = RAISE_OFF;
    int r = choose_doer(p, "freezer", "freezer", p->c->freezer, &t->freezer, &t->engine_freezer,
                        "idle containers stay as they are", &freezer, err);

    if (r == 0)
        r = choose_doer(p, "memory-raise", "memory raise", p->c->memory_raise, &t->raise,
                        &t->engine_raise, "a stem is only given to functions of its own memory",
                        &raise, err);
    out->freezer = (enum freezer)freezer;
    out->memory_raise = (enum memory_raise)raise;
    return r;
}

void open_network(struct probing *p)
{
    const char *forced = p->c->network;

    if (probe_is_auto(forced) || strcmp(forced, "slots") == 0)
        (void)network_open(p->v, &p->v->network, &p->network_why);
    else
        network_sweep(p->v);
}

/* Where no container could be tried the bridge is taken as it is. */
static bool slots_work(struct probing *p)
{
    const struct trial *t = &p->trials[p->chosen];

    if (p->v->network == NULL)
        return false;
    if (t->plug.yes || !t->dial_in.yes)
        return true;
    p->network_why = (struct nr_err){.code = NR_EUNAVAIL};
    (void)snprintf(p->network_why.text, sizeof(p->network_why.text), "%s", t->plug.text);
    network_undo(p->v->network);
    p->v->network = NULL;
    return false;
}

int probe_network(const char *forced, bool slots, const char *why_no_slots, bool bridge,
                  struct nr_err *err)
{
    const struct way ways[] = {
        {"slots", slots, why_no_slots},
        {"bridge", bridge && !probe_is_auto(forced), "the Engine has no bridge"},
        {"none", true, ""},
    };

    return probe_choose("network", forced, ways, nr_countof(ways), err);
}

int choose_network(struct probing *p, struct nr_err *err)
{
    struct probe *out = &p->v->probe;
    const char *why = p->network_why.text;
    int status;
    nr_auto_json json_t *bridge = probe_get(p->v, "/networks/bridge", &status);
    static const char *const found[] = {
        "network slots on a bridge of ours",
        "the Engine's bridge: functions reach each other and the host, and each start pays for it",
        "functions that ask for egress get no network"};
    bool slots = slots_work(p);
    int r = probe_network(p->c->network, slots, why, bridge && status == 200, err);

    if (r < 0)
        return r;
    out->network = (enum egress_network)(2 - r); /* the enum begins with the worst */
    out->has_bridge = r == 1;
    probe_found(out, "network none", true, "no interface but lo, no libnetwork");
    probe_found(out, "network egress", r == 0 || !probe_is_auto(p->c->network), "%s%s%s", found[r],
                why[0] ? ": " : "", r == 0 ? "" : why);
    probe_next(
        out,
        "slots need root rights, nft or iptables and net.ipv4.ip_forward=1; --network=bridge lets functions reach each other and the host (docs/engine.md)");
    return 0;
}

/* What has no choice. */
void tell_trial(struct probing *p)
{
    struct probe *out = &p->v->probe;
    const struct trial *t = &p->trials[p->chosen];
    bool cap = out->cgroup_parent[0] && (t->pool_cap.yes || !t->dial_in.yes);

    probe_found(out, "memory limit", t->memory_limit.yes, "%s", t->memory_limit.text);
    probe_next(out, "run naraed in the Engine's own namespaces; the Engine's word is taken for it");
    probe_found(out, "exit status", t->exit_status.yes, "%s", t->exit_status.text);
    probe_next(out, "take another runtime with --runtime");
    probe_found(out, "oom count", t->oom_count.yes, "%s", t->oom_count.text);
    probe_next(out, "use Linux 4.13 or newer, and let naraed see the control groups");
    if (cap)
        probe_found(out, "pool bound", true, "%s", p->parent_why);
    else
        probe_found(out, "pool bound", false, "containers together have none: %s",
                    out->cgroup_parent[0] ? t->pool_cap.text : p->parent_why);
    probe_next(
        out,
        "the Engine option native.cgroupdriver=cgroupfs, or a bound of the Engine's own slice");
    if (!cap) {
        if (!p->v->beside)
            cgroup_parent_remove(out->cgroup_parent);
        out->cgroup_parent[0] = '\0';
    }
}
