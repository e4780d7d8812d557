/* A composition: its conductor runs, says what runs next, and runs again with what that answered, until it names nothing any more.
 *
 *   action   what runs next; not there: the composition ends
 *   params   input of what runs next, or the result of all
 *   state    comes back to the conductor, joined with the answer of what ran (a key of `state` wins); nobody else sees it
 *
 * Texts are passed on as they stand, byte for byte. What is no object is boxed: {"value":x}, {"state":x}. A component that fails, or cannot be
 * called, does not end the composition: the conductor runs with {"error":...}. What ends it from outside is more than
 * 2 * COMPOSE_MAX + 1 runs of the conductor.
 *
 * A shared conductor runs in the name of who calls it, but what it says is its owner's word: it may not name what is in the caller's namespace.
 *
 * A result above READ_HERE_BYTES is read by a work thread.
 */
#include "controller/compose.h"

#include <stdio.h>

#include "common/base/json.h"
#include "ports/target.h"

#define READ_HERE_BYTES (64 << 10)
#define TURNS_MAX (2 * COMPOSE_MAX + 1)
#define SHOWN_BYTES 256
#define ACTION_MAX_BYTES 2048
#define NOT_ENTITLED "Failed entitlement check for action with name"

static const char none_text[] = "{}";

/* ---- runs of the conductor -------------------------------------------------------------------------------------- */

/* Of a valid text without white space around it. */
static bool is_object(struct nr_str text)
{
    return text.n > 0 && text.p[0] == '{';
}

/* A text as members of an object: those of an object, `"key":value` of another value, none of no text. */
static void members(struct nr_str text, const char *key, struct nr_str *head, struct nr_str *rest)
{
    bool bare = text.n > 0 && !is_object(text);

    *head = nr_str_of(bare ? key : "");
    *rest = is_object(text) ? nr_json_members(text) : text;
}

/* Runs the conductor with `result` and the state that it gave last. */
static void turn(struct composition *m, struct nr_str result)
{
    struct activation *a = m->a, *step;
    const struct call_names own = {a->space, a->package, a->name, a->fn->published, {NULL, 0}};
    struct nr_str parts[7] = {NR_STR("{"), [6] = NR_STR("}")};

    if (++m->use->turns > TURNS_MAX) {
        compose_end_error(m, OUTCOME_APPLICATION_ERROR, m->kind->too_many);
        return;
    }
    m->turning = true;
    if ((step = compose_step(m, &own, result)) == NULL)
        return;
    if (m->turn) {
        members(result, "\"value\":", &parts[1], &parts[2]);
        members(m->says.state, "\"state\":", &parts[4], &parts[5]);
        if (parts[2].n && parts[5].n)
            parts[3] = NR_STR(",");
        step->input = nr_arena_join(&step->arena, parts, nr_countof(parts));
    }
    if (step->input.p) {
        compose_begin_step(m, step);
        return;
    }
    compose_drop_step(step);
    compose_end_error(m, OUTCOME_INTERNAL_ERROR, m->kind->failed);
}

static void begin(struct composition *m)
{
    turn(m, m->a->input);
}

/* The conductor is told what went wrong. */
static void feed_back(struct composition *m, const char *text)
{
    turn(m, compose_error(&m->last->arena, text));
}

/* ---- what it says ----------------------------------------------------------------------------------------------- */

/* Pure; any thread. */
static void read_result(struct nr_str result, struct conductor_says *ret)
{
    *ret = (struct conductor_says){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (nr_json_scan_key(result, "params", &ret->params) != NR_JSON_OBJECT)
        return;
    (void)nr_json_scan_key(result, "action", &ret->action);
    if (ret->action.p)
        (void)nr_json_scan_key(result, "state", &ret->state);
}

/* {"value":x} of what is no object; lent, or in the arena of the composition. */
static struct nr_str boxed(struct composition *m, struct nr_str text)
{
    const struct nr_str parts[] = {NR_STR("{\"value\":"), text, NR_STR("}")};

    if (is_object(text))
        return text;
    return nr_arena_join(&m->last->arena, parts, nr_countof(parts));
}

/* Reads the name of what runs next into *ret (made) and its text into `shown`. */
static int read_action(const struct composition *m, struct function_target *ret,
                       char shown[static SHOWN_BYTES])
{
    const struct nr_str raw = m->says.action;
    nr_auto_json json_t *name = raw.n <= ACTION_MAX_BYTES ? nr_json_parse(raw, NULL) : NULL;
    const char *text = json_string_value(name);

    (void)snprintf(shown, SHOWN_BYTES, "%.*s", (int)(raw.n < SHOWN_BYTES ? raw.n : SHOWN_BYTES - 1),
                   raw.p);
    if (text == NULL || strlen(text) != json_string_length(name) ||
        function_target_read(nr_str_of(text), m->a->account->name, ret, NULL) < 0)
        return NR_EINVAL;
    (void)snprintf(shown, SHOWN_BYTES, "%.255s", text);
    return 0;
}

/* Reads whom m calls next into *ret (made); false: the conductor was told why not. */
static bool may_name(struct composition *m, struct function_target *ret)
{
    char shown[SHOWN_BYTES], text[SHOWN_BYTES + 128];

    if (read_action(m, ret, shown) < 0) {
        (void)snprintf(text, sizeof(text),
                       "Failed to parse action name from json value %s during composition.", shown);
    } else if (++m->use->functions > COMPOSE_MAX) {
        (void)snprintf(text, sizeof(text), "%s", m->kind->too_many);
    } else if (compose_is_foreign(m) && strcmp(ret->account, m->a->account->name) == 0) {
        (void)snprintf(text, sizeof(text), NOT_ENTITLED " '%s' during composition.", shown);
    } else {
        return true;
    }
    function_target_fini(ret);
    feed_back(m, text);
    return false;
}

/* A component runs. */
static void component(struct composition *m)
{
    struct function_target t = {0};

    if (!may_name(m, &t))
        return;
    const struct call_names names = call_names_of(&t, m->a->account->name);
    struct nr_str params = m->says.params.p ? boxed(m, m->says.params) : nr_str_of(none_text);

    m->turning = false;
    struct activation *step = params.p ? compose_step(m, &names, params) : NULL;

    function_target_fini(&t);
    if (step)
        compose_begin_step(m, step);
    else if (params.p == NULL)
        compose_end_error(m, OUTCOME_INTERNAL_ERROR, m->kind->failed);
}

/* What m->last said has been read. */
static void obey(struct composition *m)
{
    struct activation *last = m->last;

    if (m->says.action.p && last->outcome.status == OUTCOME_SUCCESS) {
        activation_unref(m->turn);
        m->turn = activation_ref(last);
        component(m);
    } else if (m->says.params.p && last->outcome.status == OUTCOME_SUCCESS) {
        struct nr_str result = boxed(m, m->says.params);

        if (result.p)
            compose_end(m, OUTCOME_SUCCESS, result);
        else
            compose_end_error(m, OUTCOME_INTERNAL_ERROR, m->kind->failed);
    } else {
        compose_end_as_last(m);
    }
}

static void read_work(struct nr_work *w)
{
    struct composition *m = nr_container_of(w, struct composition, reading);

    read_result(m->last->outcome.result, &m->says);
}

static void on_read(struct nr_work *w)
{
    struct composition *m = nr_container_of(w, struct composition, reading);

    if (m->a->err)
        compose_finish(m);
    else
        obey(m);
}

/* ---- what a component answered ---------------------------------------------------------------------------------- */

/* It could not be called. */
static void refused(struct composition *m)
{
    static const struct {
        int code;
        const char *text;
    } rows[] = {
        {NR_ENOENT, "Failed to resolve action with name"},
        {NR_EFORBIDDEN, NOT_ENTITLED},
    };
    struct function_target t = {0};
    char shown[SHOWN_BYTES], text[SHOWN_BYTES + 128];

    for (size_t i = 0; i < nr_countof(rows); i++) {
        if (m->last->error.code != rows[i].code)
            continue;
        (void)read_action(m, &t, shown);
        function_target_fini(&t);
        (void)snprintf(text, sizeof(text), "%s '%s' during composition.", rows[i].text, shown);
        feed_back(m, text);
        return;
    }
    feed_back(m, m->last->error.text);
}

static void went_on(struct composition *m)
{
    bool called = m->last->id[0] != '\0';
    const struct nr_str result = m->last->outcome.result;

    if (!m->turning && called) {
        turn(m, result);
    } else if (!m->turning) {
        refused(m);
    } else if (!called) { /* its conductor is gone */
        compose_end_error(m, OUTCOME_INTERNAL_ERROR, m->kind->failed);
    } else if (result.n <= READ_HERE_BYTES) {
        read_result(result, &m->says);
        obey(m);
    } else {
        m->reading = (struct nr_work){.work = read_work, .done = on_read};
        nr_work_post(m->a->ctl->loop, &m->reading);
    }
}

static void resume(struct composition *m)
{
    (void)m; /* the conductor and what it calls take turns: nobody waits for a slot */
}

const struct compose_kind compose_conductor = {
    .begin = begin,
    .went_on = went_on,
    .resume = resume,
    .too_many = "Too many actions in the composition.",
    .failed = "Activation failure during composition.",
};
