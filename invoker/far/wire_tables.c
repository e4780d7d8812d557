/* The tables of what frames carry: each form, member by member, with its bounds. */
#include "invoker/far/wire_form.h"

#include "ports/errand.h"

enum { TEXT_MAX_BYTES = 4096, COUNT_MAX = 1 << 24 };

#define AT(member) offsetof(struct wire_welcome, member)
static const struct wire_field welcome_fields[] = {
    {"protocol", WIRE_I64, AT(protocol), 0, INT32_MAX},
    {"controller", WIRE_TEXT, AT(controller), 0, 64},
    {"epoch", WIRE_U64, AT(epoch), 0, INT64_MAX},
    {"api_host", WIRE_TEXT, AT(api_host), 0, TEXT_MAX_BYTES},
};
WIRE_FORM(wire_welcome_form, welcome_fields);
#undef AT

#define AT(member) offsetof(struct wire_why, member)
static const struct wire_field why_fields[] = {
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_why_form, why_fields);
#undef AT

#define AT(member) offsetof(struct wire_run, member)
static const struct wire_field run_fields[] = {
    {"activation", WIRE_TEXT, AT(activation), 0, 32},
    {"account", WIRE_TEXT, AT(account), 0, 1024},
    {"transaction", WIRE_TEXT, AT(transaction), 0, 1024},
    {"api_key", WIRE_TEXT, AT(api_key), 0, 1024},
    {"revision", WIRE_U64, AT(revision), 1, INT64_MAX},
    {"follows", WIRE_BOOL, AT(follows), 0, 0},
    {"watched", WIRE_BOOL, AT(watched), 0, 0},
};
WIRE_FORM(wire_run_form, run_fields);
#undef AT

#define AT(member) offsetof(struct wire_answer, member)
static const struct wire_field answer_fields[] = {
    {"status", WIRE_UINT, AT(status), 0, OUTCOME_INTERNAL_ERROR},
    {"start", WIRE_UINT, AT(start), 0, START_COLD},
    {"cold", WIRE_UINT, AT(cold), 0, COLD_CRASHED},
    {"timed_out", WIRE_BOOL, AT(timed_out), 0, 0},
    {"out_of_memory", WIRE_BOOL, AT(out_of_memory), 0, 0},
    {"is_array", WIRE_BOOL, AT(is_array), 0, 0},
    {"stem_empty", WIRE_BOOL, AT(stem_empty), 0, 0},
    {"ran", WIRE_BOOL, AT(ran), 0, 0},
    {"dropped", WIRE_BOOL, AT(dropped), 0, 0},
    {"run_us", WIRE_U64, AT(run_us), 0, INT64_MAX},
    {"init_us", WIRE_U64, AT(init_us), 0, INT64_MAX},
    {"queue_us", WIRE_U64, AT(queue_us), 0, INT64_MAX},
    {"network_us", WIRE_U64, AT(network_us), 0, INT64_MAX},
    {"create_us", WIRE_U64, AT(create_us), 0, INT64_MAX},
    {"boot_us", WIRE_U64, AT(boot_us), 0, INT64_MAX},
    {"handover_us", WIRE_U64, AT(handover_us), 0, INT64_MAX},
    {"thaw_us", WIRE_U64, AT(thaw_us), 0, INT64_MAX},
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_answer_form, answer_fields);
#undef AT

#define AT(member) offsetof(struct call_usage, member)
static const struct wire_field usage_fields[] = {
    {"known", WIRE_BOOL, AT(known), 0, 0},
    {"cpu_us", WIRE_I64, AT(cpu_us), -1, INT64_MAX},
    {"user_us", WIRE_I64, AT(user_us), -1, INT64_MAX},
    {"system_us", WIRE_I64, AT(system_us), -1, INT64_MAX},
    {"init_peak_bytes", WIRE_I64, AT(init_peak_bytes), -1, INT64_MAX},
    {"run_peak_bytes", WIRE_I64, AT(run_peak_bytes), -1, INT64_MAX},
    {"rest_bytes", WIRE_I64, AT(rest_bytes), -1, INT64_MAX},
    {"high_water_bytes", WIRE_I64, AT(high_water_bytes), -1, INT64_MAX},
    {"limit_bytes", WIRE_I64, AT(limit_bytes), -1, INT64_MAX},
    {"oom_kills", WIRE_I64, AT(oom_kills), -1, INT64_MAX},
    {"throttled_us", WIRE_I64, AT(throttled_us), -1, INT64_MAX},
    {"others_us", WIRE_I64, AT(others_us), -1, INT64_MAX},
    {"wall_us", WIRE_I64, AT(wall_us), -1, INT64_MAX},
};
WIRE_FORM(wire_usage_form, usage_fields);
#undef AT

#define AT(member) offsetof(struct wire_range, member)
static const struct wire_field range_fields[] = {
    {"sha256", WIRE_TEXT, AT(sha256), 0, 64},
    {"revision", WIRE_U64, AT(revision), 0, INT64_MAX},
    {"at", WIRE_U64, AT(at), 0, WIRE_CODE_MAX_BYTES},
    {"bytes", WIRE_U64, AT(bytes), 0, WIRE_CODE_MAX_BYTES},
};
WIRE_FORM(wire_range_form, range_fields);
#undef AT

#define AT(member) offsetof(struct wire_auth, member)
static const struct wire_field auth_fields[] = {
    {"account", WIRE_TEXT, AT(account), 0, 1024},
    {"image", WIRE_TEXT, AT(image), 0, TEXT_MAX_BYTES},
};
WIRE_FORM(wire_auth_form, auth_fields);
#undef AT

#define AT(member) offsetof(struct wire_image, member)
static const struct wire_field image_fields[] = {
    {"op", WIRE_UINT, AT(op), 0, IMAGE_OPS - 1},
    {"reference", WIRE_TEXT, AT(reference), 0, WIRE_REFERENCE_MAX_BYTES},
    {"max_bytes", WIRE_I64, AT(max_bytes), 0, INT64_MAX},
};
WIRE_FORM(wire_image_form, image_fields);
#undef AT

#define AT(member) offsetof(struct image_progress, member)
static const struct wire_field progress_fields[] = {
    {"layers", WIRE_UINT, AT(layers), 0, COUNT_MAX},
    {"layers_done", WIRE_UINT, AT(layers_done), 0, COUNT_MAX},
    {"bytes", WIRE_I64, AT(bytes), 0, INT64_MAX},
    {"bytes_total", WIRE_I64, AT(bytes_total), 0, INT64_MAX},
};
WIRE_FORM(wire_progress_form, progress_fields);
#undef AT

#define AT(member) offsetof(struct wire_image_done, member)
static const struct wire_field image_done_fields[] = {
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
    {"id", WIRE_TEXT, AT(id), 0, IMAGE_DIGEST_BYTES - 1},
    {"digest", WIRE_TEXT, AT(digest), 0, IMAGE_DIGEST_BYTES - 1},
    {"platform", WIRE_TEXT, AT(platform), 0, IMAGE_PLATFORM_BYTES - 1},
    {"bytes", WIRE_I64, AT(bytes), 0, INT64_MAX},
    {"has_command", WIRE_BOOL, AT(has_command), 0, 0},
    {"has_volumes", WIRE_BOOL, AT(has_volumes), 0, 0},
    {"fits", WIRE_BOOL, AT(fits), 0, 0},
};
WIRE_FORM(wire_image_done_form, image_done_fields);
#undef AT

#define AT(member) offsetof(struct wire_node, member)
static const struct wire_field node_fields[] = {
    {"memory_max_mb", WIRE_I64, AT(figures.memory_max_mb), 0, INT32_MAX},
    {"memory_used_mb", WIRE_I64, AT(figures.memory_used_mb), 0, INT32_MAX},
    {"containers", WIRE_UINT, AT(figures.containers), 0, INT32_MAX},
    {"waiting", WIRE_UINT, AT(figures.waiting), 0, INT32_MAX},
    {"cpu_percent", WIRE_DOUBLE, AT(figures.cpu_percent), -1, 1000},
    {"joules", WIRE_DOUBLE, AT(figures.joules), 0, INT32_MAX},
    {"containers_max", WIRE_UINT, AT(containers_max), 0, INT32_MAX},
    {"results_dropped", WIRE_U64, AT(results_dropped), 0, INT64_MAX},
    {"results_late", WIRE_U64, AT(results_late), 0, INT64_MAX},
    {"ready", WIRE_BOOL, AT(ready), 0, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_node_form, node_fields);
#undef AT

#define AT(member) offsetof(struct wire_pool, member)
static const struct wire_field pool_fields[] = {
    {"revision", WIRE_U64, AT(revision), 1, INT64_MAX},
    {"peak_bytes", WIRE_I64, AT(peak_bytes), -1, INT64_MAX},
    {"ready", WIRE_UINT, AT(load.ready), 0, COUNT_MAX},
    {"busy", WIRE_UINT, AT(load.busy), 0, COUNT_MAX},
    {"starting", WIRE_UINT, AT(load.starting), 0, COUNT_MAX},
    {"waiting", WIRE_UINT, AT(load.waiting), 0, COUNT_MAX},
    {"key", WIRE_TEXT, AT(figures.key), 0, TEXT_MAX_BYTES},
    {"containers_ready", WIRE_UINT, AT(figures.ready), 0, COUNT_MAX},
    {"containers_busy", WIRE_UINT, AT(figures.busy), 0, COUNT_MAX},
    {"containers_starting", WIRE_UINT, AT(figures.starting), 0, COUNT_MAX},
    {"calls_waiting", WIRE_UINT, AT(figures.waiting), 0, COUNT_MAX},
    {"oldest_us", WIRE_U64, AT(figures.oldest_us), 0, INT64_MAX},
    {"instance_mb", WIRE_I64, AT(figures.instance_mb), 0, INT32_MAX},
    {"instances_max", WIRE_I64, AT(figures.instances_max), 0, INT32_MAX},
    {"looked", WIRE_BOOL, AT(figures.looked), 0, 0},
    {"cpu_percent", WIRE_DOUBLE, AT(figures.cpu_percent), 0, INT32_MAX},
    {"memory_mb", WIRE_DOUBLE, AT(figures.memory_mb), 0, INT32_MAX},
    {"memory_percent", WIRE_DOUBLE, AT(figures.memory_percent), 0, INT32_MAX},
    {"joules", WIRE_DOUBLE, AT(figures.joules), 0, INT32_MAX},
    {"cpu_seconds", WIRE_DOUBLE, AT(figures.cpu_seconds), 0, INT32_MAX},
};
WIRE_FORM(wire_pool_form, pool_fields);
#undef AT

#define AT(member) offsetof(struct scaler_wish, member)
static const struct wire_field wish_fields[] = {
    {"account", WIRE_Z, AT(account), 0, 1024},
    {"package", WIRE_Z, AT(package), 0, 1024},
    {"name", WIRE_Z, AT(name), 0, 1024},
    {"desired", WIRE_INT, AT(desired), -1, INT32_MAX},
    {"maximum", WIRE_INT, AT(maximum), -1, INT32_MAX},
    {"keep_alive_ms", WIRE_I64, AT(keep_alive_ms), -1, INT64_MAX},
    {"ahead_only", WIRE_BOOL, AT(ahead_only), 0, 0},
    {"stem_kind", WIRE_Z, AT(stem_kind), 0, 1024},
};
WIRE_FORM(wire_wish_form, wish_fields);
#undef AT
