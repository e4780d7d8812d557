/* See doubts.h. A function may be made after its policy, and nothing at all may be allowed to run: both are taken, with a word about what it means.
 */
#include "scaler/doubts.h"

#include "common/base/json.h"
#include "scaler/policy/words.h"

/* So many calls at a time in each container: a percentage that was meant as a share. */
#define MANY_INFLIGHT 10

void doubt(json_t *list, const char *path, const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)json_array_append_new(list, json_pack("{ssss}", "path", path, "why", text));
}

static void of_function(struct scaler *s, const struct policy *p, json_t *list)
{
    enum scaler_known known =
        s->c.known ? s->c.known(s->c.arg, p->account, p->function) : SCALER_KNOWN;

    if (known == SCALER_NO_ACCOUNT)
        doubt(list, "target.account", "There is no account '%s' yet: nothing is scaled until then.",
              p->account);
    else if (known == SCALER_NO_FUNCTION)
        doubt(list, "target.function",
              "%s has no function '%s' yet: nothing is scaled until there is one.", p->account,
              p->function);
}

#define NONE_MAY_RUN                                                                               \
    "No container may run: every call waits, and fails when nobody raises it in time. To have "    \
    "none while nobody calls, write min 0 and leave max out, or above 0."

static void of_bounds(const struct policy *p, const json_t *document, json_t *list)
{
    char path[40];

    if (p->max == 0)
        doubt(list, json_object_get(document, "bounds") ? "bounds.max" : "max", NONE_MAY_RUN);
    for (unsigned i = 0; i < p->schedule_count && p->max != 0; i++)
        if (p->schedules[i].max == 0) {
            (void)snprintf(path, sizeof(path), "schedule[%u].max", i);
            doubt(list, path, NONE_MAY_RUN);
        }
}

static void of_targets(const struct policy *p, const json_t *document, json_t *list)
{
    char path[40] = "target_inflight";

    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct rule *r = &p->rules[i];
        unsigned at = r->when;

        while (p->conditions[at].kind != CONDITION_METRIC)
            at = p->conditions[at].first;
        if (r->action != ACTION_TRACK || r->target < MANY_INFLIGHT ||
            p->conditions[at].metric.id != METRIC_INFLIGHT_PER_INSTANCE)
            continue;
        if (json_object_get(document, "rules"))
            (void)snprintf(path, sizeof(path), "rules[%u].do.target", i);
        doubt(list, path,
              "Each container is to have %.15g calls at a time, which only a function with a "
              "concurrency above that can have; if a share of %.15g %% is meant, write %.15g.",
              r->target, r->target, r->target / 100);
    }
}

void doubts_add(struct scaler *s, const struct policy *p, json_t *list)
{
    nr_auto_json json_t *document = nr_json_parse(nr_str_of(p->document), NULL);

    if (p->target == TARGET_FUNCTION) {
        of_function(s, p, list);
        of_bounds(p, document, list);
    }
    of_targets(p, document, list);
}

int doubts_stems(const struct scaler *s, struct scale_call *c, const struct policy *p)
{
    struct nearest near;
    char why[200] = "there are no stem cells of this kind; there are:";

    if (p->target != TARGET_STEMS || s->c.stem_kinds == NULL)
        return 0;
    nearest_begin(&near, nr_str_of(p->stems));
    for (const char *const *kind = s->c.stem_kinds; *kind; kind++) {
        size_t n = strlen(why);

        if (strcmp(p->stems, *kind) == 0)
            return 0;
        nearest_try(&near, *kind);
        (void)snprintf(why + n, sizeof(why) - n, " %s", *kind);
    }
    (void)nr_err_set(&c->err, NR_EINVAL, "target.stems \"%s\": %s%s%s", p->stems, why,
                     near.best[0] ? "; nearest: " : "", near.best);
    nr_auto_free char *value = NULL;
    nr_auto_json json_t *text = json_string(p->stems);
    size_t bytes;

    value = nr_json_text(text, &bytes);
    json_t *one =
        json_pack("{ssssss}", "path", "target.stems", "why", why, "value", value ? value : "");

    if (near.best[0])
        (void)json_object_set_new(one, "nearest", json_string(near.best));
    (void)call_reply(c, json_pack("{sss[o]}", "error", c->err.text, "problems", one));
    return NR_EINVAL;
}

static void write_target(const struct policy *p, char *text, size_t bytes)
{
    if (p->target == TARGET_FUNCTION)
        (void)snprintf(text, bytes, "%s/%s", p->account, p->function);
    else
        (void)snprintf(text, bytes, "%s", p->target == TARGET_STEMS ? p->stems : "nodes");
}

/* What was recorded of one target says nothing of another. */
int doubts_other(struct scale_call *c, const struct policy *p, const struct policy *recorded)
{
    char is[320], was[320];

    write_target(p, is, sizeof(is));
    write_target(recorded, was, sizeof(was));
    return nr_err_set(&c->err, NR_EINVAL,
                      "The document scales %s, and the policy '%s', whose record is to be "
                      "replayed, scales %s: one says nothing of the other. Replay the document "
                      "without naming the policy.",
                      is, recorded->name, was);
}
