/* The options of naraed: one table, from which file, environment, flags, --help and docs/configuration.md come. */
#ifndef NR_DAEMON_OPTIONS_H
#define NR_DAEMON_OPTIONS_H

#include "common/base/option.h"

struct options {
    char *metrics_functions;
    char *kafka, *kafka_prefix, *kafka_settings;
    char *api_host, *device, *gpus, *registries, *secret_key_file;
    char *listen, *data, *run, *docker, *guest_profile, *log_level, *log_format, *agent, *tls_cert,
        *tls_key, *runtime, *freezer, *memory_raise, *network, *seccomp, *stems;
    bool takeover;
    bool dev_keys, tls_self_signed, help_markdown, version, keep_containers, no_catalog;
    int64_t memory_mb, keep_alive_s, drain_s, retention_days, retention_mb, queue_max, queue_mb,
        connections_max, inflight_mb, import_max_mb;
    int64_t keep_versions, keep_versions_days, keep_retired_days;
    int64_t energy_idle_mw, energy_core_mw;
    bool energy_by_model;
    char *roles, *scaler, *predict;
    char *controller, *controller_pin, *invoker_name, *invoker_token_file, *tags;
    char *invokers_listen, *invoker_uid;
    int64_t memory_price, scaling_days, scaling_mb, scaling_time;
    int64_t failed_logins, freeze_after_ms, engine_workers, containers_max;
};

/* The table; ends with a NULL name. */
extern const struct nr_option daemon_options[];

#endif
