/* A container as we want it: no capability, no new privileges, no swap, nothing writable but two small tmpfs, nothing mounted but
 * the socket folder, the agent, a hosts file and the resolvers' file, all read-only. Volumes and devices come by grant only. Fixed parts are one JSON text, so that they can be read as a
 * list; the rest is put in from the spec.
 */
#include "invoker/create.h"

#include <sys/stat.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/grants.h"

/* Masked: the Engine's own list and what tells about the kernel besides. sigpending is not limited here: the kernel counts it
 * per uid, and all functions share one. */
static const char fixed_host_config[] =
    "{\"CapDrop\":[\"ALL\"],"
    "\"ReadonlyRootfs\":true,"
    "\"PidsLimit\":256,"
    "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":1024},"
    "{\"Name\":\"core\",\"Soft\":0,\"Hard\":0},"
    "{\"Name\":\"fsize\",\"Soft\":1073741824,\"Hard\":1073741824},"
    "{\"Name\":\"memlock\",\"Soft\":65536,\"Hard\":65536}],"
    "\"IpcMode\":\"private\","
    "\"CgroupnsMode\":\"private\","
    "\"ShmSize\":8388608,"
    "\"OomScoreAdj\":500,"
    "\"LogConfig\":{\"Type\":\"none\"},"
    "\"Init\":false,"
    "\"AutoRemove\":false,"
    "\"RestartPolicy\":{\"Name\":\"no\"},"
    "\"MaskedPaths\":[\"/proc/asound\",\"/proc/acpi\",\"/proc/kcore\",\"/proc/keys\",\"/proc/latency_stats\","
    "\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\",\"/proc/scsi\",\"/sys/firmware\","
    "\"/sys/devices/virtual/powercap\",\"/sys/kernel/security\",\"/sys/kernel/vmcoreinfo\"]}";

enum {
    CPU_SHARES_PER_MB = 4,
    CPU_SHARES_MAX = 262144,
    NANO_PER_MILLI = 1000000,
    ENV_BYTES = 64,
    CODE_TMPFS_MAX_MB = 256,
    CODE_TMPFS_SPARE_MB = 16
};

int64_t container_memory_mb(int64_t memory_mb)
{
    int64_t steps = (memory_mb + CONTAINER_MEMORY_STEP_MB - 1) / CONTAINER_MEMORY_STEP_MB;

    return (steps > 0 ? steps : 1) * CONTAINER_MEMORY_STEP_MB;
}

/* A single source file is what it is; anything else is unpacked. */
static bool is_archive(const struct function *f)
{
    static const char *const endings[] = {".zip", ".tar.gz", ".tgz", ".jar"};
    size_t n = strlen(f->file);

    for (size_t i = 0; i < nr_countof(endings); i++) {
        size_t m = strlen(endings[i]);

        if (n >= m && strcmp(f->file + n - m, endings[i]) == 0)
            return true;
    }
    return f->relay; /* its own rules: it may compile and unpack as it likes */
}

void create_spec_of(const struct function *f, bool has_bridge, struct create_spec *s)
{
    s->image = f->image;
    s->kind = f->kind;
    s->network = f->network == FN_NET_NONE || !has_bridge ? CREATE_NET_DISABLED : CREATE_NET_BRIDGE;
    s->memory_mb = container_memory_mb(f->memory_mb);
    s->cpus_milli = f->cpus_milli;
    s->cpu_share = f->cpu_share;
    s->many_files = is_archive(f);
    s->code_tmpfs_mb = CODE_TMPFS_MAX_MB;
    if (!s->many_files && 2 * (f->code_bytes >> 20) + CODE_TMPFS_SPARE_MB < CODE_TMPFS_MAX_MB)
        s->code_tmpfs_mb = 2 * (f->code_bytes >> 20) + CODE_TMPFS_SPARE_MB;
    s->concurrent = f->relay && f->concurrency > 1; /* our runtimes are told with the code */
}

void create_devices(const struct grants *grants, const struct grant_device *list,
                    struct create_spec *s)
{
    s->device_count = 0;
    for (unsigned i = 0; grants && i < grants->device_count; i++)
        for (const struct grant_device *d = list; d && d->name; d++) {
            struct stat st;

            if (strcmp(d->name, grants->devices[i]) == 0)
                s->devices[s->device_count++] = (struct create_device){
                    d->path, stat(d->path, &st) == 0 ? (unsigned)st.st_gid : 0};
        }
}

/* Steals `value`; a failed part makes the whole fail. */
static void put(json_t *o, const char *key, json_t *value, bool *ok)
{
    if (value == NULL || json_object_set_new(o, key, value) < 0)
        *ok = false;
}

static json_t *bind_mount(const char *source, const char *target, bool read_only)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", source, "Target", target,
                     "ReadOnly", read_only);
}

/* Without the Engine's network nobody fills /etc/hosts, and "localhost" would mean nothing. */
static json_t *mounts(const struct create_spec *s, bool *ok)
{
    const bool slot = s->network == CREATE_NET_SLOT;
    const struct {
        const char *source, *target;
        bool wanted;
    } fixed[] = {
        {s->agent_path, "/.narae/agent", true},
        {s->socket_dir, "/.narae/s", true},
        {s->hosts_path, "/etc/hosts", slot || s->network == CREATE_NET_DISABLED},
        {s->resolv_path, "/etc/resolv.conf", slot && s->resolv_path},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < nr_countof(fixed); i++)
        if (fixed[i].wanted &&
            json_array_append_new(list, bind_mount(fixed[i].source, fixed[i].target, true)) < 0)
            *ok = false;
    for (unsigned i = 0; i < s->volume_count; i++)
        if (json_array_append_new(
                list, bind_mount(s->volumes[i].source, s->volumes[i].target, false)) < 0)
            *ok = false;
    return list;
}

static json_t *devices(const struct create_spec *s, bool *ok)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < s->device_count; i++) {
        const char *path = s->devices[i].path;

        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "PathOnHost", path,
                                                  "PathInContainer", path, "CgroupPermissions",
                                                  "rw")) < 0)
            *ok = false;
    }
    return list;
}

/* The devices' groups, for a function's user owns none of them. */
static json_t *groups(const struct create_spec *s, bool *ok)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < s->device_count; i++)
        if (s->devices[i].group != 0 &&
            json_array_append_new(list, json_sprintf("%u", s->devices[i].group)) < 0)
            *ok = false;
    return list;
}

static json_t *tmpfs(const struct create_spec *s)
{
    static const char common[] = "rw,nosuid,nodev,mode=0755,uid=65534,gid=65534";
    char tmp[128], action[128];

    (void)snprintf(tmp, sizeof(tmp), "%s,noexec,size=64m,nr_inodes=16k", common);
    (void)snprintf(action, sizeof(action), "%s,exec,size=%lldm,nr_inodes=%s", common,
                   (long long)s->code_tmpfs_mb, s->many_files ? "128k" : "16k");
    return json_pack("{s:s, s:s}", "/tmp", tmp, "/action", action);
}

static json_t *security(const struct create_spec *s)
{
    json_t *list = json_pack("[s]", "no-new-privileges");

    if (list && s->seccomp) {
        char *text = nr_alloc(strlen(s->seccomp) + sizeof("seccomp="));

        (void)snprintf(text, strlen(s->seccomp) + sizeof("seccomp="), "seccomp=%s", s->seccomp);
        (void)json_array_append_new(list, json_string(text));
        free(text);
    }
    return list;
}

int64_t container_cpu_shares(int64_t memory_mb)
{
    int64_t shares = CPU_SHARES_PER_MB * memory_mb;

    return shares < 2 ? 2 : shares > CPU_SHARES_MAX ? CPU_SHARES_MAX : shares;
}

int64_t function_cpu_shares(const struct function *f)
{
    return f->cpu_share > 0 ? f->cpu_share
                            : container_cpu_shares(container_memory_mb(f->memory_mb));
}

bool function_has_cpu(const struct function *f)
{
    return f->cpus_milli > 0 || f->cpu_share > 0;
}

/* ---- GPUs --------------------------------------------------------------------------------------------------- */

/* The names of the devices for which the Engine is to be asked. */
static json_t *gpu_names(const struct create_spec *s)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < NODE_GPUS_MAX; i++)
        if ((s->gpu.devices & (UINT64_C(1) << i)) && s->gpus[i].ask_engine)
            (void)json_array_append_new(list, json_string(s->gpus[i].name));
    return list;
}

static json_t *device_requests(const struct create_spec *s)
{
    return json_pack("[{s:s, s:o, s:[[s]]}]", "Driver", "", "DeviceIDs", gpu_names(s),
                     "Capabilities", "gpu");
}

static bool asks_engine_for_gpu(const struct create_spec *s)
{
    nr_auto_json json_t *names = gpu_names(s);

    return json_array_size(names) > 0;
}

/* What NVIDIA's share server reads; without it the figures are the ledger's only. Every device of the container has its number there. */
static void gpu_environment(const struct create_spec *s, json_t *env)
{
    char text[ENV_BYTES + NODE_GPUS_MAX * 24];
    size_t n;

    if (s->gpu.want.percentage > 0) {
        (void)snprintf(text, sizeof(text), "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=%d",
                       s->gpu.want.percentage);
        (void)json_array_append_new(env, json_string(text));
    }
    if (s->gpu.want.memory_mb == 0)
        return;
    n = (size_t)snprintf(text, sizeof(text), "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=");
    for (unsigned i = 0; i < s->gpu.want.count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u=%lldM", i ? "," : "", i,
                              (long long)s->gpu.want.memory_mb);
    (void)json_array_append_new(env, json_string(text));
}

static json_t *environment(const struct create_spec *s)
{
    json_t *env = json_array();

    if (s->concurrent)
        (void)json_array_append_new(env, json_string("__OW_ALLOW_CONCURRENT=true"));
    if (s->gpu.want.count > 0)
        gpu_environment(s, env);
    return env;
}

static json_t *host_config(const struct create_spec *s, bool *ok)
{
    json_t *h = json_loads(fixed_host_config, 0, NULL);

    if (h == NULL)
        return NULL;
    put(h, "SecurityOpt", security(s), ok);
    put(h, "Tmpfs", tmpfs(s), ok);
    put(h, "Mounts", mounts(s, ok), ok);
    if (s->device_count > 0) {
        put(h, "Devices", devices(s, ok), ok);
        put(h, "GroupAdd", groups(s, ok), ok);
    }
    put(h, "Memory", json_integer(s->memory_mb << 20), ok);
    put(h, "MemorySwap", json_integer(s->memory_mb << 20), ok);
    if (s->swappiness)
        put(h, "MemorySwappiness", json_integer(0), ok);
    if (s->runtime && s->runtime[0])
        put(h, "Runtime", json_string(s->runtime), ok);
    if (s->cgroup_parent && s->cgroup_parent[0])
        put(h, "CgroupParent", json_string(s->cgroup_parent), ok);
    put(h, "CpuShares",
        json_integer(s->cpu_share > 0 ? s->cpu_share : container_cpu_shares(s->memory_mb)), ok);
    if (s->cpus_milli > 0)
        put(h, "NanoCpus", json_integer(s->cpus_milli * NANO_PER_MILLI), ok);
    if (asks_engine_for_gpu(s))
        put(h, "DeviceRequests", device_requests(s), ok);
    put(h, "NetworkMode", json_string(s->network == CREATE_NET_BRIDGE ? "bridge" : "none"), ok);
    return h;
}

/* The agent's arguments; what stands behind "--" is the image's own command. */
static json_t *agent_arguments(const struct create_spec *s)
{
    char id[32];

    (void)snprintf(id, sizeof(id), "--id=%s", s->id);
    json_t *cmd = json_pack("[s, s]", "--socket=/.narae/s/s", id);

    if (cmd && s->stem)
        (void)json_array_append_new(cmd, json_string("--stem"));
    if (cmd && s->command && json_array_size(s->command) > 0) {
        (void)json_array_append_new(cmd, json_string("--"));
        for (size_t i = 0; i < json_array_size(s->command); i++)
            (void)json_array_append(cmd, json_array_get(s->command, i));
    }
    return cmd;
}

/* Nothing about the tenant. Each is written, for the Engine takes from the image what is not. */
static json_t *labels(const struct create_spec *s)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "narae.installation", s->installation, "narae.invoker",
                          s->invoker, "narae.kind", s->kind);
    char gpu[GPU_LABEL_BYTES] = "";

    if (s->gpu.want.count > 0)
        gpu_write_label(s->gpus, &s->gpu, gpu);
    if (o)
        (void)json_object_set_new(o, "narae.gpu", json_string(gpu));
    return o;
}

/* The proxy of OpenWhisk's ActionLoop images unpacks and compiles into ./action; from the root that is our folder for code. */
static bool is_action_loop(const struct create_spec *s)
{
    const char *program = s->command ? json_string_value(json_array_get(s->command, 0)) : NULL;

    return program && strcmp(program, "/bin/proxy") == 0;
}

char *create_body(const struct create_spec *s, size_t *ret_n)
{
    bool ok = true;
    nr_auto_json json_t *o = json_object();

    put(o, "Image", json_string(s->image), &ok);
    put(o, "User", json_string("65534:65534"), &ok);
    put(o, "Entrypoint", json_pack("[s]", "/.narae/agent"), &ok);
    put(o, "Cmd", agent_arguments(s), &ok);
    put(o, "Env", environment(s), &ok);
    put(o, "NetworkDisabled", json_boolean(s->network != CREATE_NET_BRIDGE), &ok);
    put(o, "AttachStdin", json_false(), &ok);
    put(o, "AttachStdout", json_false(), &ok);
    put(o, "AttachStderr", json_false(), &ok);
    put(o, "StopSignal", json_string("SIGKILL"), &ok);
    put(o, "Healthcheck", json_pack("{s:[s]}", "Test", "NONE"), &ok); /* an image may have one */
    put(o, "StopTimeout", json_integer(1), &ok);
    put(o, "Labels", labels(s), &ok);
    if (is_action_loop(s))
        put(o, "WorkingDir", json_string("/"), &ok);
    put(o, "HostConfig", host_config(s, &ok), &ok);
    return ok ? nr_json_text(o, ret_n) : NULL;
}
