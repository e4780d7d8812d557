/* Where functions find the platform's API: the variable they are told it by, and the way that the firewall opens to it. */
#include "invoker/internal.h"
#include "invoker/network.h"
#include "invoker/network_link.h"

int invoker_api_host(struct invoker *v, const struct invoker_api *api, const char **ret_url,
                     struct nr_err *err)
{
    char text[SUBNET_TEXT_BYTES], url[64];
    uint32_t address = api->address;

    if (v->network)
        address = network_open_api(v->network, api->address, api->port);
    else if (api->url == NULL)
        return nr_err_set(err, NR_EUNAVAIL, "containers have no network of ours");
    (void)snprintf(url, sizeof(url), "%s://%s:%u", api->tls ? "https" : "http",
                   subnet_text((struct subnet){address, 32}, text), api->port);
    v->api_host = nr_strdup(api->url ? api->url : url);
    *ret_url = v->api_host;
    return 0;
}
