/* The bus over Kafka. */
#include "common/bus/internal.h"

int bus_kafka_open(const struct bus_config *c, struct bus **ret, struct nr_err *err)
{
    (void)ret;
    return nr_err_set(err, NR_EUNAVAIL, "%s: Kafka is not part of this build", c->brokers);
}
