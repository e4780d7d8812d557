/* A container as we want it: no capability, no new privileges, no swap, nothing writable but two small tmpfs, nothing mounted but
 * the socket folder, the agent and a hosts file, all three read-only. Fixed parts are one JSON text, so that they can be read as a
 * list; the rest is put in from the spec.
 */
#include "invoker/create.h"

#include "common/base/json.h"
#include "common/base/mem.h"

/* Masked: the Engine's own list and what tells about the kernel besides. sigpending and msgqueue are not limited here: the kernel
 * counts them per uid, and all functions share one. */
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
    "\"/sys/devices/virtual/powercap\",\"/sys/kernel/security\"]}";

enum {
    CPU_SHARES_PER_MB = 4,
    CPU_SHARES_MAX = 262144,
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
    s->many_files = is_archive(f);
    s->code_tmpfs_mb = CODE_TMPFS_MAX_MB;
    if (!s->many_files && 2 * (f->code_bytes >> 20) + CODE_TMPFS_SPARE_MB < CODE_TMPFS_MAX_MB)
        s->code_tmpfs_mb = 2 * (f->code_bytes >> 20) + CODE_TMPFS_SPARE_MB;
    s->concurrent = f->concurrency > 1;
}

/* Steals `value`; a failed part makes the whole fail. */
static void put(json_t *o, const char *key, json_t *value, bool *ok)
{
    if (value == NULL || json_object_set_new(o, key, value) < 0)
        *ok = false;
}

static json_t *bind_mount(const char *source, const char *target)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", source, "Target", target,
                     "ReadOnly", 1);
}

static json_t *mounts(const struct create_spec *s)
{
    json_t *list = json_pack("[o, o]", bind_mount(s->socket_dir, "/.narae/s"),
                             bind_mount(s->agent_path, "/.narae/agent"));

    /* Without a network the Engine leaves /etc/hosts empty, and "localhost" would mean nothing. */
    if (list && s->network == CREATE_NET_DISABLED &&
        json_array_append_new(list, bind_mount(s->hosts_path, "/etc/hosts")) < 0) {
        json_decref(list);
        list = NULL;
    }
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

/* A weight in proportion to memory; a function of 256 MB weighs as much as any container without a weight of its own. */
static int64_t cpu_shares(const struct create_spec *s)
{
    int64_t shares = CPU_SHARES_PER_MB * s->memory_mb;

    return shares < 2 ? 2 : shares > CPU_SHARES_MAX ? CPU_SHARES_MAX : shares;
}

static json_t *host_config(const struct create_spec *s, bool *ok)
{
    json_t *h = json_loads(fixed_host_config, 0, NULL);

    if (h == NULL)
        return NULL;
    put(h, "SecurityOpt", security(s), ok);
    put(h, "Tmpfs", tmpfs(s), ok);
    put(h, "Mounts", mounts(s), ok);
    put(h, "Memory", json_integer(s->memory_mb << 20), ok);
    put(h, "MemorySwap", json_integer(s->memory_mb << 20), ok);
    if (s->swappiness)
        put(h, "MemorySwappiness", json_integer(0), ok);
    put(h, "CpuShares", json_integer(cpu_shares(s)), ok);
    put(h, "NetworkMode", json_string(s->network == CREATE_NET_BRIDGE ? "bridge" : "none"), ok);
    return h;
}

/* The agent's arguments; what stands behind "--" is the image's own command. */
static json_t *agent_arguments(const struct create_spec *s)
{
    char id[32];

    (void)snprintf(id, sizeof(id), "--id=%s", s->id);
    json_t *cmd = json_pack("[s, s]", "--socket=/.narae/s/s", id);

    if (cmd && s->command && json_array_size(s->command) > 0) {
        (void)json_array_append_new(cmd, json_string("--"));
        for (size_t i = 0; i < json_array_size(s->command); i++)
            (void)json_array_append(cmd, json_array_get(s->command, i));
    }
    return cmd;
}

char *create_body(const struct create_spec *s, size_t *ret_n)
{
    bool ok = true;
    nr_auto_json json_t *o = json_object();

    put(o, "Image", json_string(s->image), &ok);
    put(o, "User", json_string("65534:65534"), &ok);
    put(o, "Entrypoint", json_pack("[s]", "/.narae/agent"), &ok);
    put(o, "Cmd", agent_arguments(s), &ok);
    put(o, "Env", s->concurrent ? json_pack("[s]", "__OW_ALLOW_CONCURRENT=true") : json_array(),
        &ok);
    put(o, "NetworkDisabled", json_boolean(s->network == CREATE_NET_DISABLED), &ok);
    put(o, "AttachStdin", json_false(), &ok);
    put(o, "AttachStdout", json_false(), &ok);
    put(o, "AttachStderr", json_false(), &ok);
    put(o, "StopSignal", json_string("SIGKILL"), &ok);
    put(o, "StopTimeout", json_integer(1), &ok);
    put(o, "Labels",
        json_pack("{s:s, s:s, s:s}", "narae.installation", s->installation, "narae.invoker",
                  s->invoker, "narae.kind", s->kind),
        &ok);
    put(o, "HostConfig", host_config(s, &ok), &ok);
    return ok ? nr_json_text(o, ret_n) : NULL;
}
