/* narae invokers add, remove, cordon, uncordon, drain: invokers of other hosts. What add prints is what there is to do on the other host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

/* {"tags":{...}} (made) of the words KEY=VALUE behind the name; NULL: said what is wrong. */
static json_t *read_tags(struct cli *c)
{
    json_t *tags = json_object();

    for (int i = 1; i < c->argc; i++) {
        const char *equals = strchr(c->argv[i], '=');

        if (equals == NULL || equals == c->argv[i]) {
            (void)cli_fail(c, "'%s' is no tag; it is KEY=VALUE, like board=bench-3", c->argv[i]);
            json_decref(tags);
            return NULL;
        }
        nr_auto_free char *key = nr_strndup(c->argv[i], (size_t)(equals - c->argv[i]));

        (void)json_object_set_new(tags, key, json_string(equals + 1));
    }
    return json_pack("{s:o}", "tags", tags);
}

/* Where the other host dials: the port that the controller listens on at the address by which we reach it, or its socket. */
static void print_controller(const struct cli *c, const json_t *answer)
{
    const char *listen = nr_json_string(answer, "listen"), *pin = nr_json_string(answer, "pin");
    const char *host = strstr(c->api_host, "://");
    json_int_t port = json_integer_value(json_object_get(answer, "port"));

    if (port == 0) {
        printf("    --controller=%s \\\n", listen ? listen : "?");
        return;
    }
    host = host ? host + 3 : c->api_host;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");

    printf("    --controller=tls://%.*s:%lld \\\n    --controller-pin=%s \\\n", (int)n, host,
           (long long)port, pin ? pin : "?");
}

int verb_invokers_add(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/invokers/%s", c->argv[0]);
    nr_auto_json json_t *body = read_tags(c), *answer = NULL;
    int e = body ? cli_call(c, "PUT", path, body, 0, &answer, NULL) : CLI_NOT_DONE;

    if (e != 0)
        return e;
    if (cli_json(c)) {
        cli_print_json(answer);
        return CLI_DONE;
    }
    const char *token = nr_json_string(answer, "token");

    printf(
        "invoker %s may join. Its token, which is shown this once; an older one holds no more:\n\n"
        "    %s\n\n"
        "On the other host, with the token in a file that its owner only can read (mode 600):\n\n"
        "  naraed --roles=invoker --invoker-name=%s \\\n",
        c->argv[0], token ? token : "?", c->argv[0]);
    print_controller(c, answer);
    puts("    --invoker-token-file=/etc/narae/invoker.token --data=/var/lib/narae-invoker");
    return CLI_DONE;
}

int verb_invokers_remove(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/invokers/%s", c->argv[0]);
    int e = cli_confirm(c, "remove the invoker %s: its link ends, calls that run there fail",
                        c->argv[0]);

    return e != 0 ? e : cli_do(c, "DELETE", path, NULL, "removed the invoker %s", c->argv[0]);
}

int verb_invokers_cordon(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/invokers/%s/cordon", c->argv[0]);

    return cli_do(c, "POST", path, NULL, "%s takes no new calls", c->argv[0]);
}

int verb_invokers_uncordon(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/invokers/%s/uncordon", c->argv[0]);

    return cli_do(c, "POST", path, NULL, "%s takes calls again", c->argv[0]);
}

int verb_invokers_drain(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/invokers/%s/drain", c->argv[0]);

    return cli_do(c, "POST", path, NULL,
                  "%s takes no new calls; its containers go when the calls there have ended",
                  c->argv[0]);
}
