/* Custom metrics that functions tell in their logs go two ways: to /metrics, and on the bus to whoever scales. The bus gets only what /metrics took, so
 * what an account may tell is bounded once for both. What an account and a function are called there is the platform's word, not the function's.
 */
#include "common/bus/bus.h"
#include "daemon/daemon.h"
#include "daemon/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "ports/sample.h"

enum { NAME_BYTES = 1024 };

const char *part_label(struct daemon *d)
{
    static const char key[] = "label:";
    struct nr_str rest = nr_str_of(d->options.metrics_functions), part;

    while (nr_str_split(&rest, ',', &part))
        if (nr_str_starts(part, key)) {
            size_t n = part.n - (sizeof(key) - 1);

            free(d->label);
            d->label = nr_alloc(n + 1);
            memcpy(d->label, part.p + sizeof(key) - 1, n);
        }
    return d->label;
}

/* On the sampler's work thread. */
static void on_sample(void *gateway, const struct sample *s, enum series_label label)
{
    gateway_sample(gateway, s, label);
}

void part_tell_samples(struct daemon *d)
{
    sampler_tell(d->sampler, on_sample, d->gateway);
}

static void publish(struct bus *b, struct sample *s)
{
    struct nr_buf key, value;

    nr_buf_init(&key, SAMPLE_MAX_BYTES);
    nr_buf_init(&value, SAMPLE_MAX_BYTES);
    sample_key(s, &key);
    sample_write(s, &value);
    if (!key.failed && !value.failed)
        (void)bus_publish(b, BUS_METRICS, nr_buf_str(&key), nr_buf_str(&value));
    nr_buf_fini(&key);
    nr_buf_fini(&value);
}

void part_on_metric(void *arg, const struct activation *a, const struct sample *s)
{
    struct daemon *d = arg;
    const struct function *fn = a->fn;
    char name[NAME_BYTES];
    int n = snprintf(name, sizeof(name), "%s%s%s", fn->package, *fn->package ? "/" : "", fn->name);
    struct nr_str function = {name, (size_t)n};
    struct sample told;

    if (n < 0 || (size_t)n >= sizeof(name))
        return;
    if (d->gateway == NULL || !gateway_custom_metric(d->gateway, a->account->name, function, s))
        return;
    told = *s;
    told.label[told.label_count++] =
        (struct sample_label){NR_STR("account"), nr_str_of(a->account->name)};
    told.label[told.label_count++] = (struct sample_label){NR_STR("function"), function};
    publish(d->bus, &told);
}
