/* narae image and registry: own images on the node, and credentials of where they come from. */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#define LOOK_MS 250
#define LOOKS_TO_BEGIN 4
#define LOOKS_MAX 240 /* without a trace of the pull */

static const struct column images[] = {
    {"REFERENCE", "reference", CELL_TEXT, 16}, {"STATE", "state", CELL_STATE, 0},
    {"SIZE", "bytes", CELL_BYTES, 0},          {"USED BY", "used_by", CELL_LIST, 8},
    {"PULLED", "pulled_ms", CELL_TIME, 0},     {"DIGEST", "digest", CELL_TEXT, 0, .wide = true},
};

static const struct column registries[] = {
    {"REGISTRY", "host", CELL_TEXT, 12},
    {"USERNAME", "username", CELL_TEXT, 8},
    {"SET", "updated_ms", CELL_TIME, 0},
};

int verb_image_list(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/images", "images", images, nr_countof(images),
                        "no own images; narae deploy NAME --image REFERENCE uses one");
}

/* ---- pull: begun by a call, then looked at until it is here ------------------------------------------------------------ */

/* The row of a reference in the list of images with this state (lent), or NULL. */
static const json_t *row_with(const json_t *answer, const char *reference, const char *state)
{
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(answer, "images"), i, one) {
        const char *r = nr_json_string(one, "reference"), *s = nr_json_string(one, "state");

        if (r && s && strcmp(r, reference) == 0 && strcmp(s, state) == 0)
            return one;
    }
    return NULL;
}

static void draw(const struct cli *c, const json_t *progress)
{
    double done = json_number_value(json_object_get(progress, "bytes")),
           total = json_number_value(json_object_get(progress, "bytes_total"));
    struct nr_buf bar;

    if (!c->term.err || cli_json(c))
        return;
    nr_buf_init(&bar, 1 << 12);
    text_add_bar(&c->term, done, total, 20, &bar);
    (void)fprintf(stderr, "\r\033[K[%.*s] %.1f of %.1f MB", (int)bar.n, bar.p, done / 1e6,
                  total / 1e6);
    nr_buf_fini(&bar);
}

static int tell_end(const struct cli *c, const json_t *here, const json_t *failed)
{
    const char *error = nr_json_string(failed, "error"), *digest = nr_json_string(here, "digest");
    struct nr_buf clean;

    if (c->term.err && !cli_json(c))
        (void)fputs("\r\033[K", stderr);
    if (here && cli_json(c))
        cli_print_json(here);
    else if (here)
        printf("pulled %s (%.19s)\n", nr_json_string(here, "reference"), digest ? digest : "");
    if (here)
        return CLI_DONE;
    nr_buf_init(&clean, 1 << 16);
    text_add_clean(nr_str_of(error ? error : "the pull failed"), &clean);
    (void)cli_fail_why(c, WHY_PLATFORM,
                       "%.*s\n  narae registry set HOST keeps credentials, if it wants some",
                       (int)clean.n, clean.p);
    nr_buf_fini(&clean);
    return CLI_NOT_DONE;
}

/* The list may still tell of an earlier pull when this one has not begun: what it says holds once the pull was seen, or has had time
 * to be. */
static int wait_for_image(struct cli *c, const char *reference)
{
    static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    bool seen = false;

    for (unsigned looks = 0;; looks++) {
        nr_auto_json json_t *answer = NULL;
        int e = cli_call(c, "GET", "/narae/v1/images", NULL, 0, &answer, NULL);
        const json_t *now = row_with(answer, reference, "pulling"),
                     *here = row_with(answer, reference, "present"),
                     *failed = row_with(answer, reference, "failed");

        if (e != 0)
            return e;
        seen |= now != NULL;
        if (now)
            draw(c, json_object_get(now, "progress"));
        else if ((here || failed) && (seen || looks >= LOOKS_TO_BEGIN))
            return tell_end(c, here, failed);
        else if (looks >= LOOKS_MAX)
            return cli_fail_why(c, WHY_PLATFORM,
                                "nothing is known of the pull; narae image list tells what came");
        (void)nanosleep(&pause, NULL);
    }
}

int verb_image_pull(struct cli *c)
{
    nr_auto_json json_t *body = json_pack("{s:s}", "reference", c->argv[0]), *answer = NULL;
    int e = cli_call(c, "POST", "/narae/v1/images", body, 0, &answer, NULL);

    if (e != 0)
        return e;
    const char *reference = nr_json_string(answer, "reference");
    return wait_for_image(c, reference ? reference : c->argv[0]);
}

int verb_image_prune(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_confirm(c, "remove the images that no function uses");

    if (e != 0 || (e = cli_call(c, "POST", "/narae/v1/images/prune", NULL, 0, &answer, NULL)) != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("removed %zu images, %.1f MB\n", json_array_size(json_object_get(answer, "removed")),
               json_number_value(json_object_get(answer, "bytes")) / 1e6);
    return CLI_DONE;
}

/* ---- registries ------------------------------------------------------------------------------------------------------------ */

int verb_registry_list(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/registries", "registries", registries, nr_countof(registries),
                        "no credentials; narae registry set HOST --username NAME keeps some");
}

/* The password, read from the standard input when it is "-" (made); NULL after saying why. */
static char *password_of(const struct cli *c)
{
    char line[1024];

    if (c->text[OPT_USERNAME] == NULL || c->text[OPT_PASSWORD] == NULL) {
        (void)cli_fail(c, "--username and --password are needed\n  for example: %s",
                       c->verb->example);
        return NULL;
    }
    if (strcmp(c->text[OPT_PASSWORD], "-") != 0)
        return nr_strdup(c->text[OPT_PASSWORD]);
    if (fgets(line, sizeof(line), stdin) == NULL) {
        (void)cli_fail(c, "--password -: the standard input is empty");
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return nr_strdup(line);
}

int verb_registry_set(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/registries/%s", c->argv[0]),
                      *password = password_of(c);

    if (password == NULL)
        return CLI_NOT_DONE;
    nr_auto_json json_t *body =
        json_pack("{s:s,s:s}", "username", c->text[OPT_USERNAME], "password", password);
    int e = cli_do(c, "PUT", path, body, "kept the credentials of %s", c->argv[0]);
    nr_str_wipe(nr_str_of(password));
    return e;
}

int verb_registry_delete(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/registries/%s", c->argv[0]);
    int e = cli_confirm(c, "forget the credentials of %s", c->argv[0]);

    return e != 0 ? e : cli_do(c, "DELETE", path, NULL, "forgot the credentials of %s", c->argv[0]);
}
