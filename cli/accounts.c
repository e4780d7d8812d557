/* narae account: accounts, their limits and quotas, and all of one as an archive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/file.h"

static const struct column columns[] = {
    {"ACCOUNT", "name", CELL_TEXT, 8},
    {"STATE", "state", CELL_STATE, 0},
    {"PROFILE", "profile", CELL_TEXT, 0},
    {"CALLS/MIN", "invocationsPerMinute", CELL_LIMIT, 0},
    {"AT A TIME", "concurrentInvocations", CELL_LIMIT, 0},
    {"FIRES/MIN", "firesPerMinute", CELL_LIMIT, 0},
    {"BYTES", "usage.bytes", CELL_BYTES, 0, .wide = true},
    {"FUNCTIONS", "usage.functions", CELL_NUMBER, 0, .wide = true},
    {"VERSIONS", "usage.versions", CELL_NUMBER, 0, .wide = true},
    {"CREATED", "created_ms", CELL_TIME, 0, .wide = true},
    {"REASON", "reason", CELL_TEXT, 0, .wide = true},
};

static const struct column limits[] = {
    {"invocationsPerMinute", "invocationsPerMinute", CELL_LIMIT, 0},
    {"concurrentInvocations", "concurrentInvocations", CELL_LIMIT, 0},
    {"firesPerMinute", "firesPerMinute", CELL_LIMIT, 0},
};

static const struct column quota[] = {
    {"bytes", "bytes", CELL_LIMIT, 0},
    {"functions", "functions", CELL_LIMIT, 0},
    {"versions", "versions", CELL_LIMIT, 0},
};

static void write_kept(const json_t *row, const char *key, const char *zero, struct nr_buf *out)
{
    json_int_t in_force = json_integer_value(json_object_get(json_object_get(row, "inForce"), key));

    if (in_force == 0)
        nr_buf_adds(out, zero);
    else
        nr_buf_addi(out, in_force);
    if (json_is_null(json_object_get(row, key)))
        nr_buf_adds(out, " (default)");
}

static void write_versions(const json_t *row, struct nr_buf *out)
{
    write_kept(row, "keepVersions", "all", out);
}

static void write_versions_days(const json_t *row, struct nr_buf *out)
{
    write_kept(row, "keepVersionsDays", "for ever", out);
}

static void write_retired_days(const json_t *row, struct nr_buf *out)
{
    write_kept(row, "keepRetiredDays", "for ever", out);
}

static const struct column retention[] = {
    {"keepVersions", "keepVersions", CELL_NUMBER, 0, .write = write_versions},
    {"keepVersionsDays", "keepVersionsDays", CELL_NUMBER, 0, .write = write_versions_days},
    {"keepRetiredDays", "keepRetiredDays", CELL_NUMBER, 0, .write = write_retired_days},
};

int verb_account_list(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/accounts", "accounts", columns, nr_countof(columns),
                        "no accounts");
}

int verb_account_create(struct cli *c)
{
    nr_auto_json json_t *body = json_pack("{s:s}", "name", c->argv[0]), *answer = NULL;

    if (c->text[OPT_PROFILE])
        json_object_set_new(body, "profile", json_string(c->text[OPT_PROFILE]));
    int e = cli_call(c, "POST", "/narae/v1/accounts", body, 0, &answer, NULL);
    if (e != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("created %s; its key, shown only now:\n%s\n", c->argv[0],
               nr_json_string(answer, "key"));
    return CLI_DONE;
}

int verb_account_show(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s", c->argv[0]);

    return cli_get_list(c, path, NULL, columns, nr_countof(columns), NULL);
}

int verb_account_suspend(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s/suspend", c->argv[0]);
    nr_auto_json json_t *body = json_object();

    if (c->text[OPT_REASON])
        json_object_set_new(body, "reason", json_string(c->text[OPT_REASON]));
    return cli_do(c, "POST", path, body, "%s is suspended; narae account resume %s lets it go on",
                  c->argv[0], c->argv[0]);
}

int verb_account_resume(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s/resume", c->argv[0]);

    return cli_do(c, "POST", path, NULL, "%s goes on", c->argv[0]);
}

int verb_account_delete(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s", c->argv[0]);
    nr_auto_json json_t *answer = NULL;
    int e =
        cli_confirm(c, "delete account %s with all its functions, versions and keys", c->argv[0]);

    if (e != 0 || (e = cli_call(c, "DELETE", path, NULL, 0, &answer, NULL)) != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        printf(c->status == 202 ? "account %s is being deleted: running calls finish first\n"
                                : "deleted account %s\n",
               c->argv[0]);
    return CLI_DONE;
}

/* ---- limits and quotas: shown, or set by KEY=NUMBER ------------------------------------------------------------------ */

/* "KEY=NUMBER", or "KEY=none" for no limit ("KEY=default" of what is kept), goes into the body; false: it is neither, or the key is not
 * known. No limit is null in a quota, -1 in limits. */
static bool take_number(json_t *body, const char *word, const struct column *known, size_t count)
{
    const char *equals = strchr(word, '=');
    struct nr_str key = {word, equals ? (size_t)(equals - word) : 0};
    bool none = equals && strcmp(equals + 1, known == retention ? "default" : "none") == 0;
    int64_t number = 0;
    size_t k = 0;

    while (k < count && !nr_str_eqz(key, known[k].path))
        k++;
    if (k == count || (!none && !nr_str_to_i64(nr_str_of(equals + 1), 0, INT64_MAX, &number)))
        return false;
    return json_object_set_new(body, known[k].path,
                               known == limits ? json_integer(none ? -1 : number)
                               : none          ? json_null()
                                               : json_integer(number)) == 0;
}

/* The words behind the account as an object (made); NULL after saying which word is none. */
static json_t *numbers_of(const struct cli *c, const struct column *known, size_t count)
{
    nr_auto_json json_t *body = json_object();

    for (int i = 1; i < c->argc; i++)
        if (!take_number(body, c->argv[i], known, count)) {
            (void)cli_fail(c, "%s: give KEY=NUMBER, KEY is %s, %s or %s\n  for example: %s",
                           c->argv[i], known[0].path, known[1].path, known[2].path,
                           c->verb->example);
            return NULL;
        }
    return nr_steal(&body);
}

static int show_or_set(struct cli *c, const char *what, const struct column *known, size_t count)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s/%s", c->argv[0], what);
    nr_auto_json json_t *body = numbers_of(c, known, count), *answer = NULL;

    if (body == NULL)
        return CLI_NOT_DONE;
    bool sets = json_object_size(body) > 0;
    int e = cli_call(c, sets ? "PUT" : "GET", path, sets ? body : NULL, 0, &answer, NULL);
    if (e == 0)
        cli_show_fields(c, answer, known, count);
    return e;
}

int verb_account_quota(struct cli *c)
{
    return show_or_set(c, "quota", quota, nr_countof(quota));
}

int verb_account_limits(struct cli *c)
{
    return show_or_set(c, "limits", limits, nr_countof(limits));
}

int verb_account_retention(struct cli *c)
{
    return show_or_set(c, "retention", retention, nr_countof(retention));
}

/* ---- the archive -------------------------------------------------------------------------------------------------------- */

struct writing {
    int fd;
    size_t bytes;
    int failed; /* errno */
};

static bool write_bytes(void *arg, struct nr_str bytes)
{
    struct writing *w = arg;

    while (bytes.n > 0) {
        ssize_t n = write(w->fd, bytes.p, bytes.n);

        if (n < 0 && errno != EINTR) {
            w->failed = errno;
            return false;
        }
        bytes.p += n > 0 ? n : 0;
        bytes.n -= n > 0 ? (size_t)n : 0;
        w->bytes += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Under another name until it is whole. */
int verb_account_export(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s/export", c->argv[0]);
    char part[4096];
    struct writing w = {0};
    struct cli_stream s = {.method = "GET", .path = path, .on_bytes = write_bytes, .arg = &w};

    if (snprintf(part, sizeof(part), "%s.XXXXXX", c->argv[1]) >= (int)sizeof(part))
        return cli_fail(c, "%s: the name is too long", c->argv[1]);
    w.fd = mkostemp(part, O_CLOEXEC);
    if (w.fd < 0)
        return cli_fail_why(c, WHY_FILE, "%s: %s", part, strerror(errno));
    int e = cli_stream(c, &s);
    if (w.failed)
        e = cli_fail_why(c, WHY_FILE, "%s: %s", part, strerror(w.failed));
    else if (e < 0)
        e = cli_fail_why(c, WHY_NO_ANSWER, "the connection broke\n  try again");
    if (e == 0 && fsync(w.fd) != 0)
        e = cli_fail_why(c, WHY_FILE, "%s: %s", part, strerror(errno));
    (void)close(w.fd);
    if (e == 0 && rename(part, c->argv[1]) != 0)
        e = cli_fail_why(c, WHY_FILE, "%s: %s", c->argv[1], strerror(errno));
    if (e != 0)
        (void)unlink(part);
    else if (!cli_json(c))
        printf("wrote %zu bytes of %s to %s\n", w.bytes, c->argv[0], c->argv[1]);
    return e;
}

/* Functions by their names; "package:p", "rule:r" are what else came. */
static void print_imported(struct cli *c, const json_t *imported)
{
    size_t n = json_array_size(imported), others = 0;

    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(imported, i));

        others += name != NULL && strchr(name, ':') != NULL;
    }
    printf("%s has %zu functions", c->argv[0], n - others);
    if (others > 0)
        printf(" and %zu packages, triggers, rules and APIs", others);
    printf(" of %s\n", c->argv[1]);
}

/* "hello", or of anything but functions "rule:on-reading". */
static bool has_name(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    return false;
}

/* What became of each that did not come in as it was: it is not there, or it is and lacks what the reason names. */
static int say_refused(struct cli *c, const json_t *answer)
{
    const json_t *imported = json_object_get(answer, "imported"),
                 *refused = json_object_get(answer, "refused");
    size_t n = json_array_size(refused), lacking = 0;

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(refused, i);
        const char *function = nr_json_string(one, "function"),
                   *name = function ? function : nr_json_string(one, "entity"),
                   *why = nr_json_string(one, "error");
        bool came = name && has_name(imported, name);

        lacking += came;
        cli_note(c, "%s: %s%s: %s", came ? "came in, but not whole" : "left out",
                 function ? "the function " : "", name ? name : "?", why ? why : "?");
    }
    if (n == 0)
        return CLI_DONE;
    int e = cli_fail_why(c, WHY_PARTLY,
                         "%zu came in whole, %zu not whole, %zu not at all\n"
                         "  what is there already is left as it was: delete it, or give it another "
                         "name, and import again",
                         json_array_size(imported) - lacking, lacking, n - lacking);

    cli_fail_set(c, "refused", json_incref((json_t *)(uintptr_t)refused));
    return e;
}

/* The file as memory, for it may be larger than that; 0, or said why not. */
static int map_file(const struct cli *c, const char *path, struct nr_str *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    void *p = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (p == MAP_FAILED)
        return cli_fail_why(c, WHY_FILE, "%s cannot be read: %s", path,
                            fd < 0                 ? strerror(why)
                            : S_ISDIR(st.st_mode)  ? "it is a folder"
                            : !S_ISREG(st.st_mode) ? "it is no file"
                            : st.st_size == 0      ? "it is empty"
                                                   : strerror(why));
    *ret = (struct nr_str){p, (size_t)st.st_size};
    return 0;
}

int verb_account_import(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/accounts/%s/import", c->argv[0]);
    nr_auto_json json_t *answer = NULL;
    struct nr_str archive = {NULL, 0};
    int e = map_file(c, c->argv[1], &archive);

    if (e != 0)
        return e;
    e = cli_send(c, "POST", path, archive, "application/x-tar", &answer);
    (void)munmap((void *)(uintptr_t)archive.p, archive.n);
    if (e != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        print_imported(c, json_object_get(answer, "imported"));
    return say_refused(c, answer);
}
