/* narae scale apply, check, list, show, versions, mode, delete, import: policies as documents. */
#include <stdarg.h>
#include <stdio.h>

#include "cli/scale.h"
#include "cli/verbs.h"
#include "common/base/file.h"

#define DOCUMENT_MAX_BYTES 65536

/* ---- documents --------------------------------------------------------------------------------------------------------- */

static char *read_file(const struct cli *c, const char *file, size_t max, size_t *ret_n)
{
    struct nr_err err = {0};
    char *text = NULL;

    if (nr_file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, max, &text, ret_n, &err) != 0)
        (void)cli_fail_why(c, WHY_FILE, "%s", err.text);
    return text;
}

/* From which place a document without a name gets one (made), or NULL. */
static char *name_of(const struct cli *c, const char *file, const json_t *document)
{
    const char *own = nr_json_string(document, "policy");
    char base[256] = "";

    if (c->text[OPT_NAME])
        return nr_strdup(c->text[OPT_NAME]);
    if (own && own[0])
        return nr_strdup(own);
    if (strcmp(file, "-") != 0)
        cli_source_name(file, base, sizeof(base));
    return base[0] ? nr_strdup(base) : NULL;
}

/* The second one would be sent alone, and the first be lost without a word. */
static bool says_twice(const struct cli *c, const char *file, struct nr_str text)
{
    json_error_t e;
    nr_auto_json json_t *strict = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
    bool twice = strict == NULL && json_error_code(&e) == json_error_duplicate_key;

    if (twice)
        (void)cli_fail_why(c, WHY_FILE,
                           "%s: a member is written twice, the second time in line %d: %s", file,
                           e.line, e.text);
    return twice;
}

json_t *scale_document(const struct cli *c, const char *file, char **ret_name)
{
    struct nr_err err = {0};
    size_t n = 0;
    nr_auto_free char *text = read_file(c, file, DOCUMENT_MAX_BYTES, &n);

    if (text == NULL)
        return NULL;
    nr_auto_json json_t *j = nr_json_parse((struct nr_str){text, n}, &err);

    if (!json_is_object(j)) {
        (void)cli_fail_why(
            c, WHY_FILE,
            "%s is not one JSON object%s%s\n  settings of another platform become one "
            "by `narae scale import`",
            file, j ? "" : ": ", j ? "" : err.text);
        return NULL;
    }
    if (says_twice(c, file, (struct nr_str){text, n}))
        return NULL;
    *ret_name = name_of(c, file, j);
    if (*ret_name == NULL) {
        (void)cli_fail(c, "the policy on the standard input says not what it is called: give "
                          "\"policy\" in it, or --name");
        return NULL;
    }
    if (c->text[OPT_NAME])
        json_object_set_new(j, "policy", json_string(*ret_name));
    if (c->text[OPT_MODE])
        json_object_set_new(j, "mode", json_string(c->text[OPT_MODE]));
    return nr_steal(&j);
}

char *scale_policy_path(const char *name, const char *tail)
{
    nr_auto_free char *base = cli_path("/narae/v1/scaling/policies/%s", name);
    size_t n = strlen(base) + strlen(tail) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s", base, tail);
    return path;
}

void scale_line(const char *fmt, ...)
{
    char line[2048];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    cli_print_line(stdout, line);
}

static void say_problem(const struct cli *c, const json_t *problem)
{
    const char *path = nr_json_string(problem, "path"), *value = nr_json_string(problem, "value"),
               *why = nr_json_string(problem, "why"), *nearest = nr_json_string(problem, "nearest");
    bool has = value && value[0], near = nearest && nearest[0];

    cli_fail_next(c, "%s%s%s%s: %s%s%s", path && path[0] ? path : "the document", has ? " (" : "",
                  has ? value : "", has ? ")" : "", why ? why : "it is wrong",
                  near ? "; nearest: " : "", near ? nearest : "");
}

void scale_warn(const struct cli *c, const json_t *answer, const char *what)
{
    const json_t *list = json_object_get(answer, "warnings");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *path = nr_json_string(one, "path"), *why = nr_json_string(one, "why");
        size_t before = 0;

        while (before < i && !json_equal(json_array_get(list, before), one))
            before++;
        if (before == i)
            cli_remark(c, "warning: %s: %s%s%s", what, path ? path : "",
                       path && path[0] ? ": " : "", why ? why : "?");
    }
}

static void say_mistakes(const struct cli *c, const json_t *answer, const char *what)
{
    const json_t *problems = json_object_get(answer, "problems");
    const char *error = nr_json_string(answer, "error");
    size_t count = json_array_size(problems);
    char text[1024];

    (void)snprintf(text, sizeof(text), "%.400s: %.500s", what, error ? error : "refused");
    if (count)
        (void)snprintf(text, sizeof(text), "%.400s: %zu mistake%s", what, count,
                       count > 1 ? "s" : "");
    (void)cli_fail_http(c, 400, text, NULL, nr_json_string(answer, "code"));
    for (size_t i = 0; i < count; i++)
        say_problem(c, json_array_get(problems, i));
    if (count)
        cli_fail_next(c, "docs/scaling.md has the language");
    cli_fail_set(c, "problems", json_incref((json_t *)(uintptr_t)problems));
}

/* What comes with a list of its mistakes is told by them; any other refusal as of every verb. */
int scale_send(struct cli *c, const char *method, const char *path, const json_t *document,
               const char *what, json_t **ret)
{
    nr_auto_json json_t *answer = NULL;
    int status = 0, e = cli_call(c, method, path, document, 400, &answer, &status);

    if (status == 400)
        say_mistakes(c, answer, what);
    if (e == 0 && ret)
        *ret = json_incref(answer);
    return e;
}

/* ---- apply, check, mode ------------------------------------------------------------------------------------------------ */

/* what: the file that it was in, or the policy. */
static int applied(const struct cli *c, const json_t *answer, const char *name, const char *what)
{
    const char *mode = nr_json_string(answer, "mode");
    long long number = json_integer_value(json_object_get(answer, "number"));

    if (cli_json(c))
        cli_print_json(answer);
    else if (json_is_false(json_object_get(answer, "changed")))
        scale_line("%s is as it was: version %lld (%s)", name, number, mode ? mode : "?");
    else
        scale_line("applied %s: version %lld (%s)", name, number, mode ? mode : "?");
    scale_warn(c, answer, what);
    return CLI_DONE;
}

static int apply_one(struct cli *c, const char *file)
{
    nr_auto_free char *name = NULL;
    nr_auto_json json_t *document = scale_document(c, file, &name), *answer = NULL;

    if (document == NULL)
        return CLI_NOT_DONE;
    nr_auto_free char *path = scale_policy_path(name, "");
    const char *what = strcmp(file, "-") == 0 ? name : file;
    int e = scale_send(c, "PUT", path, document, what, &answer);

    return e ? e : applied(c, answer, name, what);
}

static int check_one(struct cli *c, const char *file)
{
    nr_auto_free char *name = NULL;
    nr_auto_json json_t *document = scale_document(c, file, &name), *answer = NULL;

    if (document == NULL)
        return CLI_NOT_DONE;
    if (json_object_get(document, "policy") == NULL)
        json_object_set_new(document, "policy", json_string(name));
    const char *what = strcmp(file, "-") == 0 ? name : file;
    int e = scale_send(c, "POST", "/narae/v1/scaling/check", document, what, &answer);

    if (e != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        scale_line("%s is right; nothing was changed", name);
    scale_warn(c, answer, what);
    return CLI_DONE;
}

/* Every file is tried: a mistake in one keeps none of the others out. */
static int each_file(struct cli *c, int (*one)(struct cli *c, const char *file))
{
    int e = CLI_DONE;

    if (c->argc > 1 && c->text[OPT_NAME])
        return cli_fail(c, "--name names one policy, and there are %d files", c->argc);
    for (int i = 0; i < c->argc; i++) {
        int status = one(c, c->argv[i]);

        e = e ? e : status;
    }
    return e;
}

int verb_scale_apply(struct cli *c)
{
    return each_file(c, apply_one);
}

int verb_scale_check(struct cli *c)
{
    return each_file(c, check_one);
}

int verb_scale_mode(struct cli *c)
{
    static const char *const modes[] = {"enforce", "dry_run", "off"};
    nr_auto_free char *path = scale_policy_path(c->argv[0], "");
    nr_auto_json json_t *policy = NULL, *answer = NULL;
    size_t i = 0;
    int e;

    while (i < nr_countof(modes) && strcmp(modes[i], c->argv[1]) != 0)
        i++;
    if (i == nr_countof(modes))
        return cli_fail(c, "%s: a mode is enforce, dry_run (it decides and does nothing) or off",
                        c->argv[1]);
    if ((e = cli_call(c, "GET", path, NULL, 0, &policy, NULL)) != 0)
        return e;
    json_t *document = nr_json_object(policy, "document");

    if (document == NULL)
        return cli_fail_why(c, WHY_PLATFORM, "the platform did not say what is in %s", c->argv[0]);
    json_object_set_new(document, "mode", json_string(modes[i]));
    e = scale_send(c, "PUT", path, document, c->argv[0], &answer);
    return e ? e : applied(c, answer, c->argv[0], c->argv[0]);
}

/* ---- list, show, versions, delete ---------------------------------------------------------------------------------------- */

void scale_add_target(const json_t *row, struct nr_buf *out)
{
    const json_t *t = json_object_get(row, "target");
    const char *account = nr_json_string(t, "account"), *function = nr_json_string(t, "function"),
               *stems = nr_json_string(t, "stems");

    if (json_is_string(t))
        nr_buf_adds(out, json_string_value(t));
    else if (stems)
        nr_buf_printf(out, "stems of %s", stems);
    else if (function)
        nr_buf_printf(out, "%s%s%s", account ? account : "", account ? ": " : "", function);
    else
        nr_buf_adds(out, t ? "nodes" : "-");
}

static const struct column policies[] = {
    {"POLICY", "policy", CELL_TEXT, 12},
    {"TARGET", NULL, CELL_TEXT, 12, .write = scale_add_target},
    {"MODE", "mode", CELL_TEXT, 0},
    {"VERSION", "number", CELL_NUMBER, 0},
    {"DESIRED", "desired", CELL_NUMBER, 0},
    {"DECIDED", "decided_ms", CELL_TIME, 0},
    {"RULES", "rules", CELL_NUMBER, 0, .wide = true},
    {"CHANGED", "updated_ms", CELL_TIME, 0, .wide = true},
};

static const struct column versions[] = {
    {"VERSION", "number", CELL_NUMBER, 0},
    {"MODE", "mode", CELL_TEXT, 0},
    {"CHANGED", "updated_ms", CELL_TIME, 0},
    {"BY", "by", CELL_TEXT, 8},
};

int verb_scale_list(struct cli *c)
{
    nr_auto_free char *path = cli_page(c, "/narae/v1/scaling/policies");

    return cli_get_list(c, path, "policies", policies, nr_countof(policies),
                        "no policies; narae scale apply FILE makes one");
}

/* The document by itself, so that it can be written to a file, edited and applied again. */
int verb_scale_show(struct cli *c)
{
    char query[96] = "";
    int64_t number = 0;
    const char *version = c->text[OPT_VERSION];

    if (version && !nr_str_to_i64(nr_str_of(version), 1, INT32_MAX, &number))
        return cli_fail(c, "--version %s: a version is a number from 1", version);
    (void)snprintf(query, sizeof(query), "?full=%s%s%s", c->text[OPT_FULL] ? "true" : "false",
                   version ? "&version=" : "", version ? version : "");
    nr_auto_free char *path = scale_policy_path(c->argv[0], query);
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);

    if (e == 0)
        cli_print_json(cli_json(c) ? answer : json_object_get(answer, "document"));
    return e;
}

int verb_scale_versions(struct cli *c)
{
    nr_auto_free char *path = scale_policy_path(c->argv[0], "/versions");

    return cli_get_list(c, path, "versions", versions, nr_countof(versions), "no versions");
}

int verb_scale_delete(struct cli *c)
{
    nr_auto_free char *path = scale_policy_path(c->argv[0], "");
    int e = cli_confirm(c, "delete the policy %s with its versions; what it asked for ends with it",
                        c->argv[0]);

    return e ? e : cli_do(c, "DELETE", path, NULL, "deleted the policy %s", c->argv[0]);
}

/* ---- import ---------------------------------------------------------------------------------------------------------------- */

/* Settings of others do not say whose function it is. */
static void set_account(const struct cli *c, json_t *document)
{
    json_t *target = json_object_get(document, "target");

    if (!json_is_object(target) || json_object_get(target, "account"))
        return;
    if (c->text[OPT_ACCOUNT])
        json_object_set_new(target, "account", json_string(c->text[OPT_ACCOUNT]));
    else
        cli_remark(
            c,
            "note: target.account: it is not said there and left out; --account says whose function it is");
}

/* What --account settles, or what set_account() has said, is not said again. */
static void say_note(const struct cli *c, const char *note)
{
    if (note && strncmp(note, "target.account: it is not said", 30) != 0)
        cli_remark(c, "note: %s", note);
}

/* The document on the output, for `narae scale apply -`; what could not be taken over on the error channel. */
int verb_scale_import(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/scaling/import?from=%s", c->argv[0]);
    size_t n = 0;
    nr_auto_free char *text = read_file(c, c->argv[1], DOCUMENT_MAX_BYTES, &n);
    nr_auto_json json_t *answer = NULL;
    json_t *note;
    size_t i;

    if (text == NULL)
        return CLI_NOT_DONE;
    int e = cli_send(c, "POST", path, (struct nr_str){text, n}, "application/yaml", &answer);
    if (e != 0)
        return e;
    set_account(c, json_object_get(answer, "document"));
    json_array_foreach(json_object_get(answer, "notes"), i, note)
        say_note(c, json_string_value(note));
    cli_print_json(cli_json(c) ? answer : json_object_get(answer, "document"));
    return CLI_DONE;
}
