/* The option table of naraed; see options.h. */
#include "daemon/options.h"

#define AT(field) offsetof(struct options, field)

const struct nr_option daemon_options[] = {
    {"listen", NR_OPT_STRING, AT(listen), "127.0.0.1:3233",
     .help = "address and port of the API; port 0 takes a free one"},
    {"data", NR_OPT_STRING, AT(data), "/var/lib/narae",
     .help = "folder of databases, buckets and keys"},
    {"run", NR_OPT_STRING, AT(run), NULL,
     .help =
         "folder of sockets; its path must be short (default /run/narae/<8 hex of the data folder's inode>; -<8 hex of its device> where that is taken)"},
    {"docker", NR_OPT_STRING, AT(docker), "/var/run/docker.sock",
     .help =
         "socket of the Docker Engine; none: this host runs no containers, those of --invokers-listen do"},
    {"guest-profile", NR_OPT_CHOICE, AT(guest_profile), "local", .choices = "local|default|iot",
     .help = "limits of the account guest that a first start makes"},
    {"dev-keys", NR_OPT_BOOL, AT(dev_keys), "false",
     .help = "guest gets the public key of OpenWhisk's tutorials; loopback only"},
    {"no-catalog", NR_OPT_BOOL, AT(no_catalog), "false",
     .help =
         "the packages utils and samples of the account whisk.system are not made, and not brought up to date"},
    {"secret-key-file", NR_OPT_STRING, AT(secret_key_file), NULL,
     .help =
         "key under which credentials are kept; not in the data folder or its backups (default: the data folder's path and .secret.key)"},
    {"log-level", NR_OPT_CHOICE, AT(log_level), "info", .choices = "error|warn|info|debug",
     .reloadable = true, .help = "what is written to standard error"},
    {"log-format", NR_OPT_CHOICE, AT(log_format), "text", .choices = "text|json",
     .help = "form of a log line"},
    {"agent", NR_OPT_STRING, AT(agent), NULL,
     .help = "the static agent (default: narae-agent beside naraed)"},
    {"tls-cert", NR_OPT_STRING, AT(tls_cert), NULL, .reloadable = true,
     .help = "certificate chain (PEM); read again on HUP"},
    {"tls-key", NR_OPT_STRING, AT(tls_key), NULL, .reloadable = true,
     .help = "its private key (PEM)"},
    {"tls-self-signed", NR_OPT_BOOL, AT(tls_self_signed), "false",
     .help = "make a self-signed P-256 certificate in the data folder and serve https with it"},
    {"memory-mb", NR_OPT_INT, AT(memory_mb), "0", 0, 1 << 24, "MB",
     .help = "memory for containers in all; 0: 80 % of the host's"},
    {"keep-alive-s", NR_OPT_INT, AT(keep_alive_s), "600", 1, 86400, "s",
     .help = "an idle container lives this long"},
    {"drain-s", NR_OPT_INT, AT(drain_s), "65", 0, 3600, "s",
     .help = "running calls may finish this long after SIGTERM"},
    {"retention-days", NR_OPT_INT, AT(retention_days), "30", 0, 3650, "days",
     .help = "records older than this go; 0: by bytes only"},
    {"retention-mb", NR_OPT_INT, AT(retention_mb), "1024", 0, 1 << 20, "MB",
     .help = "size of the record store; 0: no bound"},
    {"keep-versions", NR_OPT_INT, AT(keep_versions), "0", 0, 1000, "versions",
     .help =
         "published versions of a function that are kept, the newest; those that an alias names or that are blocked stay; 0: all"},
    {"keep-versions-days", NR_OPT_INT, AT(keep_versions_days), "0", 0, 3650, "days",
     .help = "published versions older than these go, unless an alias names them; 0: never"},
    {"keep-retired-days", NR_OPT_INT, AT(keep_retired_days), "30", 0, 3650, "days",
     .help = "what has been retired for so long is purged; 0: never"},
    {"queue-max", NR_OPT_INT, AT(queue_max), "100000", 1, 100000000, "calls",
     .help = "accepted calls that may wait"},
    {"queue-mb", NR_OPT_INT, AT(queue_mb), "256", 128, 1 << 20, "MB",
     .help =
         "requests of accepted calls that have not ended, together; one account may have a quarter"},
    {"connections-max", NR_OPT_INT, AT(connections_max), "4096", 1, 1000000, "connections",
     .help = "open client connections"},
    {"inflight-mb", NR_OPT_INT, AT(inflight_mb), "256", 64, 65536, "MB",
     .help = "request bodies in memory at the same time"},
    {"import-max-mb", NR_OPT_INT, AT(import_max_mb), "4096", 1, 1 << 24, "MB",
     .help =
         "the largest archive of an account that can be imported; all that come in at a time: four times as much"},
    {"failed-logins", NR_OPT_INT, AT(failed_logins), "20", 1, 100000, "a minute",
     .help = "of one address before it gets 429"},
    {"runtime", NR_OPT_STRING, AT(runtime), "auto",
     .help =
         "of the Engine's runtimes the one for containers: crun, runc or another it knows; auto: the best that works"},
    {"freezer", NR_OPT_CHOICE, AT(freezer), "auto", .choices = "auto|cgroup|engine|off",
     .help =
         "what freezes idle containers: their control group's files, the Engine's pause, or nothing"},
    {"memory-raise", NR_OPT_CHOICE, AT(memory_raise), "auto", .choices = "auto|cgroup|engine|off",
     .help =
         "what raises the memory of a stem at hand-over: its control group's files, the Engine's update, or nothing"},
    {"network", NR_OPT_CHOICE, AT(network), "auto", .choices = "auto|slots|bridge|none",
     .help =
         "how functions that ask for egress get it: slots on a bridge of ours, the Engine's bridge (they then reach each other and the host), or not at all; auto: slots where they work, else not at all"},
    {"seccomp", NR_OPT_CHOICE, AT(seccomp), "auto", .choices = "auto|own|engine",
     .help =
         "profile of system calls: ours, or the Engine's default; auto: ours, but no start where the Engine cannot filter at all"},
    {"freeze-after-ms", NR_OPT_INT, AT(freeze_after_ms), "1000", 0, 86400000, "ms",
     .help = "an idle container is frozen after this; 0: never"},
    {"stems", NR_OPT_STRING, AT(stems), "auto",
     .help =
         "containers started ahead of any function, by kind: auto (as many as are used), off, or like python:3=2,nodejs:18=1"},
    {"keep-containers", NR_OPT_BOOL, AT(keep_containers), "false",
     .help = "a stop leaves idle containers for the next start, which adopts them"},
    {"containers-max", NR_OPT_INT, AT(containers_max), "0", 0, 100000, "containers",
     .help = "containers in all; 0: as many as memory allows"},
    {"api-host", NR_OPT_STRING, AT(api_host), "auto",
     .help =
         "URL of this API as functions are told it (__OW_API_HOST); those that are given an API key may call that address from network slots; auto: where --listen is, if containers can reach it; none: nothing is told"},
    {"engine-workers", NR_OPT_INT, AT(engine_workers), "0", 0, 64, "calls",
     .help = "calls to the Engine at the same time; 0: twice the cores"},
    {"device", NR_OPT_STRING, AT(device), "",
     .help =
         "devices that may be granted to accounts, as NAME=/dev/PATH separated by commas: gpio=/dev/gpiochip0"},
    {"gpus", NR_OPT_STRING, AT(gpus), "auto",
     .help =
         "GPUs of this host that functions may be given: auto asks the driver, none is none, else NAME:MEMORY_MB separated by commas, with :none behind one that the Docker Engine is not asked for"},
    {"registries", NR_OPT_STRING, AT(registries), "public",
     .help =
         "registries that own images may come from: public (not on this host, in a private network or under a name without a dot), any, none, or HOST[:PORT] separated by commas; docker.io is where a reference without a host leads"},
    {"metrics-functions", NR_OPT_STRING, AT(metrics_functions), "top:20",
     .help =
         "functions that have metrics of their own in /metrics for who shows a key: top:N (those called most), label:KEY=VALUE (those with this annotation), both with a comma between, or off; the others are summed"},
    {"kafka", NR_OPT_STRING, AT(kafka), NULL,
     .help =
         "Kafka brokers that metrics, events, decisions and policies go through, as HOST:PORT separated by commas (default: they stay in this process)"},
    {"kafka-prefix", NR_OPT_STRING, AT(kafka_prefix), "narae",
     .help = "of the names of the topics: PREFIX.metrics, .events, .decisions, .policies"},
    {"kafka-settings", NR_OPT_STRING, AT(kafka_settings), NULL,
     .help =
         "file of further settings of the client, a line KEY=VALUE each (security.protocol, sasl.username, ssl.ca.location, ...)"},
    {"energy-idle-mw", NR_OPT_INT, AT(energy_idle_mw), "20000", 0, 10000000, "mW",
     .help = "what this host draws without work: its share of the energy is nobody's"},
    {"energy-core-mw", NR_OPT_INT, AT(energy_core_mw), "8000", 0, 1000000, "mW",
     .help =
         "what each processor draws more when it works; used where the host does not count energy itself (RAPL)"},
    {"energy-by-model", NR_OPT_BOOL, AT(energy_by_model), "false",
     .help = "estimate energy from processor time even where the host counts it"},
    {"invokers-listen", NR_OPT_STRING, AT(invokers_listen), NULL,
     .help =
         "where invokers of other hosts may join: ADDRESS:PORT (TLS, with --tls-cert or a certificate of its own in the data folder) or unix:/PATH"},
    {"invoker-uid", NR_OPT_STRING, AT(invoker_uid), NULL,
     .help =
         "a user, by number or name, who may join over --invokers-listen=unix:/PATH, beside root and the user of this process"},
    {"roles", NR_OPT_CHOICE, AT(roles), "all", .choices = "all|scaler|invoker",
     .help =
         "what this process is: the whole platform, a scaler only, which hears and tells over --kafka, or an invoker only, which runs containers on this host for --controller"},
    {"controller", NR_OPT_STRING, AT(controller), NULL,
     .help =
         "with --roles=invoker: where the controller listens for invokers, tls://HOST:PORT or unix:/PATH"},
    {"controller-pin", NR_OPT_STRING, AT(controller_pin), NULL,
     .help =
         "sha256:HEX of the public key of the controller's certificate, without which tls is not dialled; `narae invokers add` prints it"},
    {"invoker-name", NR_OPT_STRING, AT(invoker_name), NULL,
     .help =
         "by which the controller knows this invoker: a-z, 0-9 and - (default: the host's name up to its first dot)"},
    {"invoker-token-file", NR_OPT_STRING, AT(invoker_token_file), NULL,
     .help =
         "file with the token that `narae invokers add` printed, readable by its owner only; needed with tls"},
    {"tags", NR_OPT_STRING, AT(tags), NULL,
     .help =
         "what this host is, for functions that ask for it: KEY=VALUE separated by commas (arch, cores and gpu are told by themselves)"},
    {"scaler", NR_OPT_CHOICE, AT(scaler), "here", .choices = "here|elsewhere|off",
     .help =
         "who decides how functions scale: this process (with --kafka it shares the work with every other), processes with --roles=scaler, or nobody"},
    {"predict", NR_OPT_CHOICE, AT(predict), "shadow", .choices = "off|shadow|on",
     .help =
         "forecasts for functions without a policy: none, made and shown only, or obeyed as soon as they are trusted"},
    {"memory-price", NR_OPT_INT, AT(memory_price), "6", 1, 999, "thousandths",
     .help =
         "the chance of a call that keeping a container for a minute must be worth; lower keeps more"},
    {"scaling-days", NR_OPT_INT, AT(scaling_days), "14", 0, 3650, "days",
     .help = "decisions and recorded samples older than this go; 0: by bytes only"},
    {"scaling-mb", NR_OPT_INT, AT(scaling_mb), "512", 1, 1 << 20, "MB",
     .help =
         "recorded samples, compressed, from which decisions are replayed; the decisions themselves may have a quarter of it"},
    {"scaling-time", NR_OPT_INT, AT(scaling_time), "1", 1, 600, "times",
     .help =
         "for trials: how much faster than the clock the time of policies, forecasts and samples runs (160: a day in nine minutes); not with --kafka"},
    {"takeover", NR_OPT_BOOL, AT(takeover), "false",
     .help =
         "take over from the naraed that serves with the same options: it hands over its sockets, no connection is refused, and its running calls end there; on the command line only",
     .flag_only = "in a file it would make each start a takeover"},
    {"version", NR_OPT_BOOL, AT(version), "false", .help = "print the version and end"},
    {"help-markdown", NR_OPT_BOOL, AT(help_markdown), "false",
     .help = "print this table for docs/configuration.md"},
    {0},
};
