/* Where a start finds things on the host: folders, agent, certificates, the address, devices and GPUs, and how large the node is. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/data/db.h"
#include "common/data/folder_marks.h"
#include "common/data/schema_versions.h"
#include "common/net/address.h"
#include "common/net/tls.h"
#include "ports/gpus.h"
#include "ports/grants.h"

#define AGENT_FILE "/narae-agent"

enum { LOCK_MS = 5000, LOCK_AGAIN_MS = 5 };

static bool has_mark(const struct daemon *d, const char *name)
{
    char path[DAEMON_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s", d->options.data, name);
    return access(path, F_OK) == 0;
}

/* Who has just died, or has let go for us, may hold the lock for a moment yet. */
static bool lock(const struct daemon *d)
{
    uint64_t until_ms = nr_mono_ms() + (d->takeover || d->listening.count ? LOCK_MS : 0);
    int r;

    while ((r = flock(d->lock_fd, LOCK_EX | LOCK_NB)) != 0 && nr_mono_ms() < until_ms)
        (void)poll(NULL, 0, LOCK_AGAIN_MS);
    return r == 0;
}

int place_lock_data(struct daemon *d, struct nr_err *err)
{
    char path[DAEMON_PATH_BYTES];
    const char *data = d->options.data;

    if (nr_dir_make(data, 0700, err) != 0)
        return nr_err_wrap(err, err->code, "the data folder (another one: --data=DIR)");
    (void)snprintf(path, sizeof(path), "%s/lock", data);
    d->lock_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "the data folder %s cannot be written: %s",
                          data, strerror(errno));
    if (!lock(d))
        return nr_err_set(err, NR_EBUSY, "the data folder %s is in use by another naraed", data);
    d->locked = true;
    return place_judge_restore(d, err);
}

int place_judge_restore(struct daemon *d, struct nr_err *err)
{
    const char *data = d->options.data;

    if (has_mark(d, NR_MARK_RESTORING))
        return nr_err_set(
            err, NR_EBUSY,
            "a restore into the data folder %s was interrupted: run it again (narae restore FILE "
            "--data=%s --force); it puts back what was there and begins anew",
            data, data);
    return 0;
}

int place_judge_schemas(struct daemon *d, struct nr_err *err)
{
    static const struct {
        const char *file;
        int known;
    } databases[] = {{"meta.db", NR_SCHEMA_META},
                     {"calls.db", NR_SCHEMA_CALLS},
                     {"scaling.db", NR_SCHEMA_SCALING},
                     {"fleet.db", NR_SCHEMA_FLEET}};
    char path[DAEMON_PATH_BYTES + 16];
    int r = 0;

    for (size_t i = 0; r == 0 && i < nr_countof(databases); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", d->options.data, databases[i].file);
        r = nr_db_judge(path, databases[i].known, err);
    }
    return r;
}

bool place_is_restored(const struct daemon *d)
{
    return has_mark(d, NR_MARK_RESTORED);
}

void place_forget_restore(const struct daemon *d)
{
    char path[DAEMON_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/" NR_MARK_RESTORED, d->options.data);
    (void)unlink(path);
}

int place_name_installation(struct daemon *d, struct nr_err *err)
{
    char path[DAEMON_PATH_BYTES];
    nr_auto_free char *text = NULL;
    unsigned char random[8];
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/installation", d->options.data);
    if (nr_file_read(path, 64, &text, &n, NULL) == 0 && n >= 16) {
        memcpy(d->installation, text, 16);
        return 0;
    }
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), d->installation);
    return nr_file_write(d->options.data, "installation", nr_str_of(d->installation), 0600, err);
}

int place_read_endings(struct daemon *d, struct nr_err *err)
{
    return endings_open(&d->loop, d->run, &d->node, &d->log, &d->endings, err);
}

/* "/file" in the folder of this program. */
static void beside_us(char path[DAEMON_PATH_BYTES], const char *file)
{
    ssize_t n = readlink("/proc/self/exe", path, DAEMON_PATH_BYTES - strlen(file) - 1);

    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');

    if (slash)
        (void)snprintf(slash, strlen(file) + 1, "%s", file);
}

const char *place_image_hint(void)
{
    char path[DAEMON_PATH_BYTES];

    beside_us(path, "/narae-images");
    return access(path, X_OK) == 0 ? "narae-images" : "scripts/images";
}

int place_find_agent(struct daemon *d, struct nr_err *err)
{
    if (d->options.agent) {
        if (realpath(d->options.agent, d->agent) == NULL)
            return nr_err_set(err, NR_ENOENT, "the agent %s: %s", d->options.agent,
                              strerror(errno));
        return 0;
    }
    beside_us(d->agent, AGENT_FILE);
    if (access(d->agent, X_OK) != 0)
        return nr_err_set(err, NR_ENOENT,
                          "no agent at %s: build it (meson compile) or give --agent=FILE",
                          d->agent);
    return 0;
}

void place_size_node(struct daemon *d)
{
    struct sysinfo si;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    d->node.cores = cores > 0 ? (int)cores : 1;
    d->node.memory_max_mb = d->options.memory_mb;
    if (d->node.memory_max_mb == 0 && sysinfo(&si) == 0)
        d->node.memory_max_mb =
            (int64_t)((unsigned long long)si.totalram * si.mem_unit / 5 * 4 >> 20) / 64 * 64;
    if (gethostname(d->host, sizeof(d->host) - 1) != 0 || d->host[0] == '\0')
        (void)snprintf(d->host, sizeof(d->host), "localhost");
}

int place_open_tls(struct daemon *d, struct nr_err *err)
{
    struct options *o = &d->options;
    char cert[DAEMON_PATH_BYTES], key[DAEMON_PATH_BYTES];

    if (o->tls_self_signed && o->tls_cert == NULL) {
        (void)snprintf(cert, sizeof(cert), "%s/tls.crt", o->data);
        (void)snprintf(key, sizeof(key), "%s/tls.key", o->data);
        o->tls_cert = nr_strdup(cert);
        o->tls_key = nr_strdup(key);
        if (access(cert, R_OK) != 0 &&
            nr_tls_self_signed(cert, key, "localhost,127.0.0.1,::1", err) != 0)
            return err->code;
    }
    if ((o->tls_cert == NULL) != (o->tls_key == NULL))
        return nr_err_set(err, NR_EINVAL, "--tls-cert and --tls-key go together");
    return o->tls_cert ? nr_tls_open(o->tls_cert, o->tls_key, &d->tls, err) : 0;
}

int place_try_listen(struct daemon *d, struct nr_err *err)
{
    return d->listening.count ? 0 : nr_net_try_listen(d->options.listen, err);
}

bool place_on_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost", 9) == 0;
}

int place_read_devices(struct daemon *d, struct nr_err *err)
{
    int r = grants_read_devices(d->options.device, &d->devices, err);

    return r < 0 ? nr_err_wrap(err, r, "--device") : 0;
}

int place_read_gpus(struct daemon *d, struct nr_err *err)
{
    int r = gpus_read(d->options.gpus, &d->gpus, &d->node.gpu_count, err);

    d->node.gpus = d->gpus;
    return r < 0 ? nr_err_wrap(err, r, "--gpus") : 0;
}
