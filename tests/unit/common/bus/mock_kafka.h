/* The brokers that librdkafka brings for tests: its protocol on real sockets, and faults on demand. Opened at run time, as the bus does it. */
#ifndef NR_TEST_MOCK_KAFKA_H
#define NR_TEST_MOCK_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define MOCK_FUNCTIONS(X)                                                                          \
    X(conf_new)                                                                                    \
    X(conf_set)                                                                                    \
    X(new)                                                                                         \
    X(destroy)                                                                                     \
    X(handle_mock_cluster)                                                                         \
    X(mock_cluster_bootstraps)                                                                     \
    X(mock_topic_create)                                                                           \
    X(mock_topic_set_error)                                                                        \
    X(mock_push_request_errors_array)                                                              \
    X(mock_broker_set_down)                                                                        \
    X(mock_broker_set_up)                                                                          \
    X(mock_broker_set_rtt)                                                                         \
    X(test_fatal_error)

struct mock {
#define X(name) __typeof__(rd_kafka_##name) *name;
    MOCK_FUNCTIONS(X)
#undef X
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
};

/* One broker with the four topics of `prefix`. */
void mock_open(struct mock *m, const char *prefix);
void mock_close(struct mock *m);
const char *mock_address(struct mock *m);

#endif
