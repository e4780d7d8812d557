/* The start-up probe: a few questions to the Engine, then one real container of the native image that must dial in.
 *
 * Each finding is a line of the table: a capability, yes or no, and what was found or what is done instead. Nothing found here ends
 * the start; a no that costs people something is also a warning in the log.
 */
#include "invoker/probe.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/internal.h"
#include "invoker/probe_container.h"

enum { PATH_MAX_BYTES = 512 };

__attribute__((format(printf, 4, 5))) void probe_found(struct probe *p, const char *name, bool yes,
                                                       const char *fmt, ...)
{
    struct capability *c =
        &p->table[p->count < CAPABILITIES_MAX ? p->count++ : CAPABILITIES_MAX - 1];
    va_list ap;

    *c = (struct capability){.name = name, .yes = yes};
    va_start(ap, fmt);
    (void)vsnprintf(c->value, sizeof(c->value), fmt, ap);
    va_end(ap);
}

/* GET path -> parsed JSON (made), or NULL; *ret_status is the HTTP status, 0 without an answer. */
static json_t *get(struct invoker *v, const char *path, int *ret_status)
{
    struct engine_reply reply = {0};
    int r = engine_call(engine_own_worker(v->engine), "GET", path, (struct nr_str){NULL, 0},
                        ENGINE_ASK_MS, &reply, NULL);
    json_t *j = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;

    *ret_status = r == 0 ? reply.status : 0;
    nr_buf_fini(&reply.body);
    return j;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = nr_json_string(o, key);

    return s ? s : "?";
}

static void from_info(struct invoker *v)
{
    struct probe *p = &v->probe;
    int status;
    nr_auto_json json_t *info = get(v, "/info", &status);
    const char *cgroup = text_of(info, "CgroupVersion"), *name;
    char runtimes[120] = "";
    json_t *each;
    size_t i, at = 0;

    p->cgroup_v1 = strcmp(cgroup, "1") == 0;
    probe_found(p, "engine", true, "%s, API %s, %s", engine_version(v->engine),
                engine_api(v->engine), text_of(info, "Driver"));
    probe_found(p, "cgroup", true, "v%s, driver %s", cgroup, text_of(info, "CgroupDriver"));
    bool live = json_is_true(json_object_get(info, "LiveRestoreEnabled"));

    probe_found(
        p, "live-restore", live, "%s",
        live
            ? "an Engine restart leaves functions running"
            : "an Engine restart kills all functions; set live-restore in the Engine's daemon.json");
    json_object_foreach(json_object_get(info, "Runtimes"), name, each) {
        int n = snprintf(runtimes + at, sizeof(runtimes) - at, "%s%s", at ? ", " : "", name);

        at += n > 0 && (size_t)n < sizeof(runtimes) - at ? (size_t)n : 0;
    }
    probe_found(p, "runtime", true, "%s (of %s)", text_of(info, "DefaultRuntime"), runtimes);
    json_array_foreach(json_object_get(info, "SecurityOptions"), i, each) {
        const char *option = json_string_value(each);

        p->seccomp = p->seccomp || (option && strncmp(option, "name=seccomp", 12) == 0);
    }
}

static void from_network(struct invoker *v)
{
    int status;
    nr_auto_json json_t *bridge = get(v, "/networks/bridge", &status);

    v->probe.has_bridge = bridge && status == 200;
    probe_found(&v->probe, "network none", true, "no interface but lo, no libnetwork");
    probe_found(&v->probe, "network egress", v->probe.has_bridge, "%s",
                v->probe.has_bridge
                    ? "the Engine's bridge"
                    : "the Engine has no bridge; functions that ask for egress get no network");
}

/* Returns the native runtime's image when it is there. */
static const char *from_images(struct invoker *v, const char *const *images)
{
    const char *native = NULL;
    char path[PATH_MAX_BYTES];

    for (; images && *images; images++) {
        int status;

        (void)snprintf(path, sizeof(path), "/images/%s/json", *images);
        nr_auto_json json_t *image = get(v, path, &status);
        bool there = image && status == 200;

        probe_found(&v->probe, "image", there, there ? "%s" : "%s is missing; build it with %s",
                    *images, v->image_hint);
        if (there && strstr(*images, "native"))
            native = *images;
    }
    return native;
}

static void tell(struct invoker *v)
{
    const struct probe *p = &v->probe;

    for (unsigned i = 0; i < p->count; i++)
        nr_log(v->log, p->table[i].yes ? NR_LOG_INFO : NR_LOG_WARN, "invoker",
               "capability=\"%s\" %s: %s", p->table[i].name, p->table[i].yes ? "yes" : "no",
               p->table[i].value);
    nr_log(v->log, NR_LOG_INFO, "invoker", "the probe took %lld ms", (long long)p->probe_ms);
}

void probe_run(struct invoker *v, const char *const *images)
{
    uint64_t begun_us = nr_mono_us();

    from_info(v);
    from_network(v);
    const char *native = from_images(v, images);

    if (native)
        probe_container(v, native);
    else
        probe_found(&v->probe, "probe container", false,
                    "not tried: there is no native runtime image");
    v->probe.probe_ms = (int64_t)(nr_mono_us() - begun_us) / 1000;
    tell(v);
}

void probe_status(const struct probe *p, struct nr_buf *out)
{
    nr_buf_adds(out, "\"capabilities\":[");
    for (unsigned i = 0; i < p->count; i++) {
        nr_buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
        nr_buf_json(out, nr_str_of(p->table[i].name));
        nr_buf_adds(out,
                    p->table[i].yes ? ",\"yes\":true,\"value\":" : ",\"yes\":false,\"value\":");
        nr_buf_json(out, nr_str_of(p->table[i].value));
        nr_buf_addc(out, '}');
    }
    nr_buf_printf(out, "],\"probe_ms\":%lld", (long long)p->probe_ms);
}
