/* Loading: four sources in the order of their strength, each of which only finds pairs (name, value); one function checks a pair
 * against the table and stores it. The sentence of a failure begins with where the pair came from.
 */
#include "common/base/option.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/option_text.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_BYTES = 64 };

/* A name and a value as found, and where ("--data", "NARAE_DATA", "narae.conf:3: data"). */
struct pair {
    const char *where;
    struct nr_str name, value;
    bool bare, flag; /* without `=`; of the command line */
};

static const struct nr_option *find(const struct nr_option_set *sets, struct nr_str name,
                                    void **ret_config)
{
    for (; sets->options; sets++)
        for (const struct nr_option *o = sets->options; o->name; o++)
            if (nr_str_eqz(name, o->name)) {
                *ret_config = sets->config;
                return o;
            }
    return NULL;
}

static void set_string(void *field, struct nr_str value)
{
    char **s = field;

    free(*s);
    *s = nr_alloc(value.n + 1);
    memcpy(*s, value.p, value.n);
}

static int bad_value(const struct nr_option *o, const struct pair *p, struct nr_err *err)
{
    char allowed[256];

    nr_option_allowed(o, allowed, sizeof(allowed));
    return nr_err_set(err, NR_EINVAL, "%s=%.*s: must be %s", p->where,
                      (int)(p->value.n < 80 ? p->value.n : 80), p->value.p, allowed);
}

static int store_bool(const struct nr_option *o, bool *field, const struct pair *p,
                      struct nr_err *err)
{
    static const struct {
        const char *word;
        bool means;
    } words[] = {{"true", true},   {"yes", true}, {"1", true},
                 {"false", false}, {"no", false}, {"0", false}};

    for (size_t i = 0; i < nr_countof(words); i++)
        if (nr_str_ieqz(p->value, words[i].word)) {
            *field = words[i].means;
            return 0;
        }
    return bad_value(o, p, err);
}

static int store_choice(const struct nr_option *o, void *field, const struct pair *p,
                        struct nr_err *err)
{
    struct nr_str rest = nr_str_of(o->choices), word;

    while (nr_str_split(&rest, '|', &word))
        if (nr_str_eq(word, p->value)) {
            set_string(field, p->value);
            return 0;
        }
    return bad_value(o, p, err);
}

static int store(const struct nr_option *o, void *config, const struct pair *p, struct nr_err *err)
{
    void *field = (char *)config + o->offset;

    if (o->flag_only && !p->flag)
        return nr_err_set(err, NR_EINVAL, "%s: it is given on the command line only (--%s): %s",
                          p->where, o->name, o->flag_only);
    if (p->bare && o->type != NR_OPT_BOOL)
        return nr_err_set(err, NR_EINVAL, "%s: needs a value: %s=%s", p->where, p->where,
                          nr_option_word(o));
    if (memchr(p->value.p, '\0', p->value.n))
        return nr_err_set(err, NR_EINVAL, "%s: the value holds a NUL byte", p->where);
    switch (o->type) {
    case NR_OPT_STRING: set_string(field, p->value); return 0;
    case NR_OPT_INT:
        return nr_str_to_i64(p->value, o->min, o->max, field) ? 0 : bad_value(o, p, err);
    case NR_OPT_BOOL: return store_bool(o, field, p, err);
    case NR_OPT_CHOICE: return store_choice(o, field, p, err);
    }
    return NR_EINTERNAL;
}

static int take(const struct nr_option_set *sets, const struct pair *p, struct nr_err *err)
{
    char near[NAME_BYTES];
    void *config = NULL;
    const struct nr_option *o = find(sets, p->name, &config);

    if (o)
        return store(o, config, p, err);
    if (nr_option_nearest(sets, p->name, near, sizeof(near)))
        return nr_err_set(err, NR_EINVAL, "%s: no such option; did you mean %s?", p->where, near);
    return nr_err_set(err, NR_EINVAL, "%s: no such option; --help lists them", p->where);
}

static int take_presets(const struct nr_option_set *sets, struct nr_err *err)
{
    for (const struct nr_option_set *s = sets; s->options; s++)
        for (const struct nr_option *o = s->options; o->name; o++) {
            struct pair p = {.where = o->name,
                             .name = nr_str_of(o->name),
                             .value = nr_str_of(o->preset),
                             .flag = true};
            int r = o->preset ? store(o, s->config, &p, err) : 0;

            if (r < 0)
                return r;
        }
    return 0;
}

static struct nr_str trim(struct nr_str s)
{
    while (s.n && isspace((unsigned char)s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static int take_line(const struct nr_option_set *sets, const char *path, unsigned number,
                     struct nr_str line, struct nr_err *err)
{
    char where[256];
    struct nr_str name;

    line = trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    (void)nr_str_split(&line, '=', &name);
    name = trim(name);
    (void)snprintf(where, sizeof(where), "%.120s:%u: %.*s", path, number,
                   (int)(name.n < NAME_BYTES ? name.n : NAME_BYTES), name.p);
    if (line.p == NULL)
        return nr_err_set(err, NR_EINVAL, "%s: a line must be `name = value`", where);
    struct pair p = {.where = where, .name = name, .value = trim(line)};

    return take(sets, &p, err);
}

static int take_file(const struct nr_option_set *sets, const char *path, struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read(path, FILE_BYTES_MAX, &text, &n, err);
    struct nr_str rest = {text, n}, line;

    if (r < 0)
        return nr_err_wrap(err, r, "--config");
    for (unsigned number = 1; r == 0 && nr_str_split(&rest, '\n', &line); number++)
        r = take_line(sets, path, number, line, err);
    return r;
}

static int take_environment(const struct nr_option_set *sets, struct nr_err *err)
{
    char name[NAME_BYTES];

    for (const struct nr_option_set *s = sets; s->options; s++)
        for (const struct nr_option *o = s->options; o->name; o++) {
            nr_option_environment(o, name, sizeof(name));
            const char *value = getenv(name);
            struct pair p = {.where = name, .name = nr_str_of(o->name), .value = nr_str_of(value)};
            int r = value ? store(o, s->config, &p, err) : 0;

            if (r < 0)
                return r;
        }
    return 0;
}

static int take_flag(const struct nr_option_set *sets, const char *arg, struct nr_err *err)
{
    char where[NAME_BYTES + 8];
    struct nr_str value = nr_str_of(arg + 2), name;
    void *config;

    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
        return nr_err_set(err, NR_EINVAL, "%.80s: unexpected; an option is written --name=value",
                          arg);
    (void)nr_str_split(&value, '=', &name);
    (void)snprintf(where, sizeof(where), "--%.*s", (int)(name.n < NAME_BYTES ? name.n : NAME_BYTES),
                   name.p);
    bool bare = value.p == NULL;
    struct pair p = {.where = where,
                     .name = name,
                     .value = bare ? NR_STR("true") : value,
                     .bare = bare,
                     .flag = true};

    if (nr_str_eqz(name, "config") && find(sets, name, &config) == NULL)
        return bare ? nr_err_set(err, NR_EINVAL, "--config: needs a value: --config=FILE") : 0;
    return take(sets, &p, err);
}

static int load(const struct nr_option_set *sets, int argc, char **argv, struct nr_err *err)
{
    int r = 0;

    for (int i = 1; r == 0 && i < argc; i++)
        if (strncmp(argv[i], "--config=", 9) == 0)
            r = take_file(sets, argv[i] + 9, err);
    if (r == 0)
        r = take_environment(sets, err);
    for (int i = 1; r == 0 && i < argc; i++)
        r = take_flag(sets, argv[i], err);
    return r;
}

int nr_options_load(const struct nr_option_set *sets, int argc, char **argv, bool *ret_help,
                    struct nr_err *err)
{
    bool help = false;

    for (int i = 1; i < argc; i++)
        help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    int r = take_presets(sets, err);

    if (r == 0 && !help)
        r = load(sets, argc, argv, err);
    if (r < 0) {
        nr_options_fini(sets);
        return r;
    }
    *ret_help = help;
    return 0;
}

void nr_options_fini(const struct nr_option_set *sets)
{
    for (; sets->options; sets++)
        for (const struct nr_option *o = sets->options; o->name; o++)
            if (o->type == NR_OPT_STRING || o->type == NR_OPT_CHOICE) {
                char **field = (char **)(void *)((char *)sets->config + o->offset);

                free(*field);
                *field = NULL;
            }
}
