/* The names of functions as people write them: NAME, PACKAGE/NAME, or /NAMESPACE/[PACKAGE/]NAME. A namespace is the key's own ("_" is too), or, to
 * call and to look at what others share, another one; nothing else is done to a function of somebody else, least of all to one's own of that
 * name.
 */
#include "cli/cli.h"

#include "cli/verbs.h"

/* The namespace of the key (made); NULL after saying why. */
static char *own_namespace(struct cli *c)
{
    nr_auto_json json_t *names = NULL;

    if (cli_call(c, "GET", "/api/v1/namespaces", NULL, 0, &names, NULL) != 0)
        return NULL;
    const char *own = json_string_value(json_array_get(names, 0));

    if (own == NULL)
        (void)cli_fail_why(c, WHY_PLATFORM, "the platform did not say which namespace the key has");
    return own ? nr_strdup(own) : NULL;
}

static bool takes_others(const struct cli *c)
{
    return c->verb->run == verb_invoke || c->verb->run == verb_get;
}

static int refuse_form(const struct cli *c, const char *name)
{
    return cli_fail(c, "%s: a function is named NAME, PACKAGE/NAME or /NAMESPACE/PACKAGE/NAME",
                    name);
}

static unsigned count_words(const char *name)
{
    unsigned n = 1;

    for (; *name; name++)
        n += *name == '/';
    return n;
}

/* Takes the namespace off the word; another one's goes to c->space. */
static int take_namespace(struct cli *c, const char **word)
{
    const char *name = *word, *slash = strchr(name + 1, '/');
    nr_auto_free char *own = NULL;

    if (slash == NULL || slash[1] == '\0' || slash == name + 1)
        return refuse_form(c, name);
    nr_auto_free char *space = nr_strndup(name + 1, (size_t)(slash - name - 1));

    *word = slash + 1;
    if (count_words(slash + 1) > 2)
        return refuse_form(c, name);
    if (strcmp(space, "_") == 0)
        return 0;
    if ((own = own_namespace(c)) == NULL)
        return CLI_NOT_DONE;
    if (strcmp(space, own) == 0)
        return 0;
    if (!takes_others(c) || c->text[OPT_VERSION])
        return cli_fail(
            c,
            "%s is in the namespace %s, and the key is of %s: functions of others are only "
            "called and looked at\n  functions of your own are named without a namespace",
            name, space, own);
    free(c->space);
    c->space = cli_path("%s", space);
    return 0;
}

static int take_name(struct cli *c, const char **word)
{
    if ((*word)[0] == '/')
        return take_namespace(c, word);
    return count_words(*word) > 2 ? refuse_form(c, *word) : 0;
}

int cli_take_names(struct cli *c)
{
    bool named = c->text[OPT_NAME] && c->verb->run == verb_deploy;
    const char *word;
    int e = 0;

    for (int i = 0; e == 0 && i < c->argc && i < 1; i++) {
        if (c->verb->word[i] != WORD_FUNCTION)
            continue;
        word = c->argv[i];
        e = take_name(c, &word);
        c->argv[i] += word - c->argv[i];
    }
    if (e == 0 && named)
        e = take_name(c, &c->text[OPT_NAME]);
    return e;
}

const char *cli_space(const struct cli *c)
{
    return c->space ? c->space : "_";
}
