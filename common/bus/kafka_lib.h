/* librdkafka, opened when a broker is configured: a process without one neither needs nor loads it. Its functions are members of
 * `struct rdk`, named without "rd_kafka_".
 */
#ifndef NR_COMMON_BUS_KAFKA_LIB_H
#define NR_COMMON_BUS_KAFKA_LIB_H

#include <librdkafka/rdkafka.h>

#include "common/base/err.h"

#define RDK_FUNCTIONS(X)                                                                           \
    X(version)                                                                                     \
    X(err2str)                                                                                     \
    X(err2name)                                                                                    \
    X(last_error)                                                                                  \
    X(fatal_error)                                                                                 \
    X(error_destroy)                                                                               \
    X(error_string)                                                                                \
    X(conf_new)                                                                                    \
    X(conf_set)                                                                                    \
    X(conf_destroy)                                                                                \
    X(conf_set_opaque)                                                                             \
    X(conf_set_log_cb)                                                                             \
    X(conf_set_error_cb)                                                                           \
    X(conf_set_dr_msg_cb)                                                                          \
    X(conf_set_rebalance_cb)                                                                       \
    X(new)                                                                                         \
    X(destroy_flags)                                                                               \
    X(opaque)                                                                                      \
    X(poll)                                                                                        \
    X(flush)                                                                                       \
    X(purge)                                                                                       \
    X(outq_len)                                                                                    \
    X(topic_new)                                                                                   \
    X(topic_destroy)                                                                               \
    X(topic_name)                                                                                  \
    X(produce)                                                                                     \
    X(msg_partitioner_murmur2)                                                                     \
    X(metadata)                                                                                    \
    X(metadata_destroy)                                                                            \
    X(offsets_for_times)                                                                           \
    X(topic_partition_list_new)                                                                    \
    X(topic_partition_list_add)                                                                    \
    X(topic_partition_list_destroy)                                                                \
    X(queue_new)                                                                                   \
    X(queue_destroy)                                                                               \
    X(queue_poll)                                                                                  \
    X(queue_poll_callback)                                                                         \
    X(consume_start_queue)                                                                         \
    X(consume_stop)                                                                                \
    X(consume_batch_queue)                                                                         \
    X(message_destroy)                                                                             \
    X(message_timestamp)                                                                           \
    X(subscribe)                                                                                   \
    X(assign)                                                                                      \
    X(pause_partitions)                                                                            \
    X(consumer_poll)                                                                               \
    X(consumer_close_queue)                                                                        \
    X(consumer_closed)                                                                             \
    X(event_destroy)                                                                               \
    X(event_error)                                                                                 \
    X(event_error_string)                                                                          \
    X(NewTopic_new)                                                                                \
    X(NewTopic_set_config)                                                                         \
    X(NewTopic_destroy)                                                                            \
    X(CreateTopics)                                                                                \
    X(event_CreateTopics_result)                                                                   \
    X(CreateTopics_result_topics)                                                                  \
    X(topic_result_error)                                                                          \
    X(topic_result_error_string)                                                                   \
    X(topic_result_name)                                                                           \
    X(ListConsumerGroupOffsets_new)                                                                \
    X(ListConsumerGroupOffsets_destroy)                                                            \
    X(ListConsumerGroupOffsets)                                                                    \
    X(event_ListConsumerGroupOffsets_result)                                                       \
    X(ListConsumerGroupOffsets_result_groups)                                                      \
    X(group_result_partitions)                                                                     \
    X(AdminOptions_new)                                                                            \
    X(AdminOptions_destroy)                                                                        \
    X(AdminOptions_set_request_timeout)

struct rdk {
#define X(name) __typeof__(rd_kafka_##name) *name;
    RDK_FUNCTIONS(X)
#undef X
};

/* Fills *ret; the library stays for as long as the process. NR_EUNAVAIL: it is not installed, or too old. */
int rdk_load(struct rdk *ret, struct nr_err *err);

#endif
