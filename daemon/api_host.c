/* What functions are told about where the API is: --api-host, or where the gateway listens when containers can reach that. The option is
 * judged before anything is opened. */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "daemon/daemon.h"

enum { HOST_BYTES = 256 };

static int refuse(const char *url, const char *why, struct nr_err *err)
{
    return nr_err_set(
        err, NR_EINVAL,
        "--api-host is auto, none or a URL like http://192.0.2.1:3233, not '%.128s': %s", url, why);
}

/* host or host:port, up to the end or one slash. */
static int read_authority(const char *url, const char *p, struct invoker_api *ret,
                          char host[HOST_BYTES], struct nr_err *err)
{
    size_t n = strcspn(p, ":/"), rest = strcspn(p, "/");
    int64_t port = ret->tls ? 443 : 80;

    if (n == 0 || n >= HOST_BYTES || p[0] == '[' || memchr(p, '@', rest))
        return refuse(url, "it needs the name or IPv4 address of a host, and no more", err);
    if (p[n] == ':' && !nr_str_to_i64((struct nr_str){p + n + 1, rest - n - 1}, 1, 65535, &port))
        return refuse(url, "a port is a number from 1 to 65535", err);
    if (p[rest] == '/' && p[rest + 1] != '\0')
        return refuse(url, "it has no path", err);
    memcpy(host, p, n);
    host[n] = '\0';
    ret->port = (uint16_t)port;
    return 0;
}

static int find_address(const char *url, const char *host, uint32_t *ret, struct nr_err *err)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return refuse(url, "the name of its host leads to no IPv4 address", err);
    *ret = ntohl(((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr.s_addr);
    freeaddrinfo(list);
    return *ret ? 0 : refuse(url, "nobody can be called at that address", err);
}

int place_api_of(const char *url, struct invoker_api *ret, struct nr_err *err)
{
    char host[HOST_BYTES];

    ret->url = url;
    ret->tls = strncmp(url, "https://", 8) == 0;
    if (!ret->tls && strncmp(url, "http://", 7) != 0)
        return refuse(url, "it begins with neither http:// nor https://", err);
    int r = read_authority(url, url + (ret->tls ? 8 : 7), ret, host, err);

    return r == 0 ? find_address(url, host, &ret->address, err) : r;
}

/* Of the address that the gateway listens on; false: containers have no way there. */
static bool read_listen(const struct daemon *d, struct invoker_api *ret)
{
    const char *listen = d->options.listen, *colon = strrchr(listen, ':');
    char host[HOST_BYTES] = "";
    struct in_addr address;

    ret->tls = d->tls != NULL;
    ret->port = (uint16_t)gateway_port(d->gateway);
    if (colon && (size_t)(colon - listen) < HOST_BYTES)
        memcpy(host, listen, (size_t)(colon - listen));
    if (strcmp(host, "[::]") == 0)
        return true;
    if (place_on_loopback(listen) || inet_pton(AF_INET, host, &address) != 1)
        return false;
    ret->address = ntohl(address.s_addr);
    return true;
}

int place_read_api_host(struct daemon *d, struct nr_err *err)
{
    const char *given = d->options.api_host;

    if (strcmp(given, "none") == 0 || strcmp(given, "auto") == 0)
        return 0;
    return place_api_of(given, &d->api, err);
}

int part_tell_api_host(struct daemon *d, struct nr_err *err)
{
    struct invoker_api api = d->api;
    struct nr_err why = {0};
    const char *told;

    (void)err;
    if (d->invoker == NULL || strcmp(d->options.api_host, "none") == 0)
        return 0;
    if (api.url == NULL && !read_listen(d, &api))
        (void)nr_err_set(&why, NR_EUNAVAIL, "containers cannot reach %s", d->options.listen);
    else if (invoker_api_host(d->invoker, &api, &told, &why) == 0)
        nr_log(&d->log, NR_LOG_INFO, "daemon", "functions find the API at %s", told);
    if (why.code != 0)
        nr_log(&d->log, NR_LOG_INFO, "daemon",
               "functions are not told where the API is (__OW_API_HOST): %s; another --listen or "
               "--api-host changes that",
               why.text);
    return 0;
}
