#include "tests/unit/common/bus/mock_kafka.h"

#include <dlfcn.h>
#include <stddef.h>

#include "common/base/mem.h"
#include "tests/unit/common/bus/bus_rig.h"

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define X(name) {"rd_kafka_" #name, offsetof(struct mock, name)},
    MOCK_FUNCTIONS(X)
#undef X
};

void mock_open(struct mock *m, const char *prefix)
{
    void *library = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
    char why[256], topic[128];

    assert_non_null(library);
    for (size_t i = 0; i < nr_countof(functions); i++) {
        void *f = dlsym(library, functions[i].name);

        assert_non_null(f);
        memcpy((char *)m + functions[i].at, &f, sizeof(f));
    }
    rd_kafka_conf_t *conf = m->conf_new();

    assert_int_equal(m->conf_set(conf, "test.mock.num.brokers", "1", why, sizeof(why)),
                     RD_KAFKA_CONF_OK);
    m->rk = m->new (RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    assert_non_null(m->rk);
    m->cluster = m->handle_mock_cluster(m->rk);
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        (void)snprintf(topic, sizeof(topic), "%s.%s", prefix, bus_topic_name((enum bus_topic)i));
        assert_int_equal(m->mock_topic_create(m->cluster, topic, i == BUS_METRICS ? 4 : 1, 1), 0);
    }
}

void mock_close(struct mock *m)
{
    m->destroy(m->rk);
}

const char *mock_address(struct mock *m)
{
    return m->mock_cluster_bootstraps(m->cluster);
}
