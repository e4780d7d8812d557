/* narae activation poll: what is called from now on, whoever calls it, with what it wrote; until --exit seconds have passed or somebody ends it.
 *
 * Records come when their call has ended, so each look goes back to the longest a call may take, and what was printed is remembered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/clock.h"

#define PAUSE_MS 1000
#define BACK_MS (60 * 60 * 1000) /* longest time limit of a call */
#define SEEN_MAX 4096
#define ID_BYTES 32

struct poll {
    struct cli *c;
    char path[4096];
    char seen[SEEN_MAX][ID_BYTES + 1]; /* a ring: the latest */
    unsigned count;
};

/* True when it is printed for the first time. */
static bool is_new(struct poll *p, const char *id)
{
    for (unsigned i = 0; i < SEEN_MAX && i < p->count; i++)
        if (strcmp(p->seen[i], id) == 0)
            return false;
    (void)snprintf(p->seen[p->count++ % SEEN_MAX], ID_BYTES + 1, "%s", id);
    return true;
}

static void print_record(const struct poll *p, const json_t *record, const char *id)
{
    const char *name = nr_json_string(record, "name");
    json_t *line;
    size_t i;

    if (cli_json(p->c)) {
        (void)json_dumpf(record, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        return;
    }
    printf("Activation: '%s' (%s)\n[\n", name ? name : "?", id);
    json_array_foreach(json_object_get(record, "logs"), i, line) {
        nr_auto_free char *text = json_dumps(line, JSON_ENCODE_ANY);

        printf("    %s%s\n", text ? text : "\"\"",
               i + 1 < json_array_size(json_object_get(record, "logs")) ? "," : "");
    }
    (void)puts("]");
}

/* One look at what began at `since_ms` or later; `ended_ms`: what had ended before is not told. */
static int look(struct poll *p, int64_t since_ms, int64_t ended_ms)
{
    nr_auto_free char *path = cli_path("/api/v1/namespaces/_/activations");
    nr_auto_json json_t *list = NULL;
    int e;

    (void)snprintf(p->path, sizeof(p->path), "%s?docs=true&limit=0&skip=0&since=%" PRId64, path,
                   since_ms > 0 ? since_ms : 0);
    if (p->c->argc > 0) {
        size_t n = strlen(p->path);
        char name[3072];

        if (!cli_path_name(p->c->argv[0], name, sizeof(name)))
            return cli_fail(p->c, "the name %s is too long", p->c->argv[0]);
        (void)snprintf(p->path + n, sizeof(p->path) - n, "&name=%s", name);
    }
    if ((e = cli_call(p->c, "GET", p->path, NULL, 0, &list, NULL)) != 0)
        return e;
    for (size_t i = json_array_size(list); i-- > 0;) { /* the latest is the first */
        const json_t *record = json_array_get(list, i);
        const char *id = nr_json_string(record, "activationId");
        const json_t *end = json_object_get(record, "end");

        if (id && strlen(id) == ID_BYTES &&
            json_integer_value(end ? end : json_object_get(record, "start")) >= ended_ms &&
            is_new(p, id))
            print_record(p, record, id);
    }
    (void)fflush(stdout);
    return 0;
}

int verb_poll(struct cli *c)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L % 1000000000,
                                          .tv_sec = PAUSE_MS / 1000};
    struct poll *p = nr_alloc(sizeof(*p));
    int64_t now_ms = nr_wall_ms(), began_ms = now_ms,
            seconds = c->number[OPT_EXIT] > 0 ? c->number[OPT_EXIT] : 0;
    int64_t told_ms = began_ms;
    int e = cli_option_when(c, OPT_SINCE, &told_ms);

    p->c = c;
    if (e == 0 && !cli_json(c))
        cli_note(c, "waiting for activations; Ctrl-C ends it");
    while (e == 0 && (e = look(p, told_ms - BACK_MS, told_ms)) == 0 &&
           (seconds == 0 || now_ms - began_ms < seconds * 1000)) {
        (void)nanosleep(&pause, NULL);
        now_ms = nr_wall_ms();
    }
    free(p);
    return e;
}
