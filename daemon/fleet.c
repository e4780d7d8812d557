/* The fleet of this process: its own invoker, if it has one, and those of other hosts that dial --invokers-listen. They may join when all else is open. */
#include <arpa/inet.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/role_invoker.h"
#include "daemon/sampler.h"
#include "ports/event.h"

bool fleet_is_far_only(const struct daemon *d)
{
    return strcmp(d->options.docker, "none") == 0;
}

/* By number or name; "-1" is nobody, as an absent one. */
static int find_uid(const char *text, int64_t *ret, struct nr_err *err)
{
    struct passwd entry, *found = NULL;
    char memory[16384];

    *ret = -1;
    if (text == NULL || nr_str_to_i64(nr_str_of(text), -1, UINT32_MAX - 1ll, ret))
        return 0;
    if (getpwnam_r(text, &entry, memory, sizeof(memory), &found) != 0 || found == NULL)
        return nr_err_set(err, NR_EINVAL, "--invoker-uid=%.80s: no user of this host", text);
    *ret = found->pw_uid;
    return 0;
}

int fleet_judge(struct daemon *d, struct nr_err *err)
{
    int r = find_uid(d->options.invoker_uid, &d->invoker_uid, err);

    if (r < 0)
        return r;
    if (fleet_is_far_only(d) && d->options.invokers_listen == NULL)
        return nr_err_set(err, NR_EINVAL,
                          "--docker=none needs --invokers-listen: somebody must run the functions");
    if (d->invoker_uid >= 0 && (d->options.invokers_listen == NULL ||
                                strncmp(d->options.invokers_listen, "unix:", 5) != 0))
        return nr_err_set(
            err, NR_EINVAL,
            "--invoker-uid is for --invokers-listen=unix:/PATH: over TLS a token says "
            "who an invoker is");
    return 0;
}

void fleet_tell_layout(struct daemon *d)
{
    const char *listen = d->options.invokers_listen;
    bool far_only = fleet_is_far_only(d), here = listen && strncmp(listen, "unix:", 5) == 0;
    const struct {
        bool so;
        const char *text, *where;
    } layouts[] = {
        {role_is_invoker(d), "an invoker alone, for the controller at ", d->options.controller},
        {far_only && here, "two units: this process opens no Docker socket, its invoker joins at ",
         listen},
        {far_only, "a controller alone, invokers of other hosts join at ", listen},
        {listen != NULL, "one process with a Docker Engine, further invokers join at ", listen},
        {true, "one process with a Docker Engine", ""},
    };
    size_t i = 0;

    while (!layouts[i].so)
        i++;
    nr_log(&d->log, NR_LOG_INFO, "daemon", "layout: %s%s; user %u", layouts[i].text,
           layouts[i].where, (unsigned)geteuid());
}

static void on_event(void *arg, const struct event *e)
{
    sampler_event(((struct daemon *)arg)->sampler, e);
}

static void on_registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    fnmanager_registry_auth(((struct daemon *)arg)->fnmanager, account, image, ret_auth);
}

int part_open_invokers(struct daemon *d, struct nr_err *err)
{
    const struct invokers_config c = {.loop = &d->loop,
                                      .local = d->invoker,
                                      .node = &d->node,
                                      .data_dir = d->options.data,
                                      .listen = d->options.invokers_listen,
                                      .certificate = d->options.tls_cert,
                                      .key = d->options.tls_key,
                                      .invoker_uid = d->invoker_uid,
                                      .event = on_event,
                                      .registry_auth = on_registry_auth,
                                      .arg = d,
                                      .log = &d->log};

    d->node.more_hosts = d->options.invokers_listen != NULL;
    int r = invokers_open(&c, &d->invokers, err);

    if (r == 0)
        invokers_beside(d->invokers, endings_any(d->endings));
    return r;
}

/* Of the address that the gateway listens on, where that is one that other hosts can dial. */
static const char *url_for_others(const struct daemon *d, char out[300])
{
    const char *listen = d->options.listen, *colon = strrchr(listen, ':');
    char host[256] = "";
    struct in_addr address;

    if (d->api.url)
        return d->api.url;
    if (colon && (size_t)(colon - listen) < sizeof(host))
        memcpy(host, listen, (size_t)(colon - listen));
    if (strcmp(d->options.api_host, "none") == 0 || place_on_loopback(listen) ||
        inet_pton(AF_INET, host, &address) != 1 || address.s_addr == INADDR_ANY)
        return NULL;
    (void)snprintf(out, 300, "%s://%s:%d", d->tls ? "https" : "http", host,
                   gateway_port(d->gateway));
    return out;
}

int part_listen_invokers(struct daemon *d, struct nr_err *err)
{
    char url[300];

    return invokers_listen(d->invokers, url_for_others(d, url), err);
}
