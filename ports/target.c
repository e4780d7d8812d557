/* One reader and two writers of the same text, so that what was stored or shown can be sent back. */
#include "ports/target.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define SHOWN_BYTES 128

/* Word characters first, blanks only inside. */
int entity_name_check(struct nr_str name, struct nr_err *err)
{
    bool good = name.n > 0;

    if (name.n > ENTITY_NAME_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "Name segement longer than allowed: %zu > %d.", name.n,
                          ENTITY_NAME_MAX_BYTES);
    for (size_t i = 0; good && i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool word = isascii(c) && (isalnum(c) || c == '_');
        good = word || (i > 0 && c != '\0' && strchr("@.&-", c) != NULL) ||
               (i > 0 && i + 1 < name.n && c == ' ');
    }
    if (!good)
        return nr_err_set(err, NR_EINVAL, "The name of the entity contains illegal characters.");
    return 0;
}

static int refuse(struct nr_str text, const char *why, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "'%.*s' names no function: %s",
                      (int)(text.n < SHOWN_BYTES ? text.n : SHOWN_BYTES), text.p ? text.p : "",
                      why);
}

/* What stands behind the `?`. */
static int read_choice(struct nr_str text, struct nr_str choice, struct function_target *t,
                       struct nr_err *err)
{
    struct nr_str key, value = choice;

    if (!nr_str_split(&value, '=', &key) || value.p == NULL)
        return refuse(text, "behind the '?' stands version=NUMBER or alias=NAME.", err);
    if (nr_str_eqz(key, "version")) {
        if (!nr_str_to_i64(value, 1, INT32_MAX, &t->number))
            return refuse(text, "a version is a number from 1.", err);
        return 0;
    }
    if (!nr_str_eqz(key, "alias") || entity_name_check(value, NULL) != 0)
        return refuse(text, "behind the '?' stands version=NUMBER or alias=NAME.", err);
    free(t->alias);
    t->alias = nr_strndup(value.p, value.n);
    return 0;
}

/* "/ns/pkg/name" into its words, from the last one: part[0] is the name. */
static int read_path(struct nr_str text, struct nr_str path, struct nr_str part[3],
                     unsigned *ret_count, struct nr_err *err)
{
    struct nr_str words[3], rest = path;
    unsigned n = 0;

    if (rest.n > 0 && rest.p[0] == '/') {
        rest.p++;
        rest.n--;
    }
    for (struct nr_str word; nr_str_split(&rest, '/', &word);) {
        if (n == nr_countof(words))
            return refuse(text, "it has more words than /namespace/package/name.", err);
        words[n++] = word;
    }
    for (unsigned i = 0; i < n; i++)
        part[i] = words[n - 1 - i];
    *ret_count = n;
    return 0;
}

static int read_words(struct nr_str text, struct nr_str path, const char *account,
                      struct function_target *t, struct nr_err *err)
{
    bool absolute = path.n > 0 && path.p[0] == '/';
    struct nr_str part[3] = {{NULL, 0}};
    unsigned count = 0;
    int r = read_path(text, path, part, &count, err);

    if (r < 0)
        return r;
    if (count < (absolute ? 2u : 1u) || (!absolute && count > 2))
        return refuse(text, "it is written /namespace/[package/]name or [package/]name.", err);
    bool has_package = absolute ? count == 3 : count == 2;
    struct nr_str ns = absolute ? part[count - 1] : NR_STR("_");
    struct nr_str package = has_package ? part[1] : (struct nr_str){"", 0};

    if (nr_str_eqz(package, "default")) {
        has_package = false;
        package.n = 0;
    }
    if (entity_name_check(part[0], err) != 0 ||
        (has_package && entity_name_check(package, err) != 0))
        return err ? err->code : NR_EINVAL;
    if (entity_name_check(ns, NULL) != 0)
        return nr_err_set(err, NR_EINVAL, "The namespace contains illegal characters.");
    t->account = nr_str_eqz(ns, "_") ? nr_strdup(account) : nr_strndup(ns.p, ns.n);
    t->package = nr_strndup(package.n ? package.p : "", package.n);
    t->name = nr_strndup(part[0].p, part[0].n);
    return 0;
}

int function_target_read(struct nr_str text, const char *account, struct function_target *ret,
                         struct nr_err *err)
{
    struct nr_str choice = text, path = {NULL, 0};
    int r;

    *ret = (struct function_target){.alias = nr_strdup("")};
    (void)nr_str_split(&choice, '?', &path);
    r = read_words(text, path, account, ret, err);
    if (r == 0 && choice.p != NULL)
        r = read_choice(text, choice, ret, err);
    if (r < 0)
        function_target_fini(ret);
    return r;
}

void function_target_fini(struct function_target *t)
{
    free(t->account);
    free(t->package);
    free(t->name);
    free(t->alias);
    *t = (struct function_target){0};
}

void function_target_path(const struct function_target *t, struct nr_buf *out)
{
    nr_buf_adds(out, t->account);
    if (t->package[0]) {
        nr_buf_addc(out, '/');
        nr_buf_adds(out, t->package);
    }
}

void function_target_name(const struct function_target *t, struct nr_buf *out)
{
    nr_buf_adds(out, t->name);
    if (t->number)
        nr_buf_printf(out, "?version=%lld", (long long)t->number);
    else if (t->alias[0])
        nr_buf_printf(out, "?alias=%s", t->alias);
}

void function_target_write(const struct function_target *t, struct nr_buf *out)
{
    nr_buf_addc(out, '/');
    function_target_path(t, out);
    nr_buf_addc(out, '/');
    function_target_name(t, out);
}
