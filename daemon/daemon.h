/* What the files of the daemon share: the process and its parts. Loop's thread, but for the start.
 */
#ifndef NR_DAEMON_DAEMON_H
#define NR_DAEMON_DAEMON_H

#include <pthread.h>

#include "common/base/list.h"
#include "daemon/options.h"
#include "daemon/takeover.h"
#include "ports/gateway.h"

struct errands;
struct preenv_tester;
struct scaling;
struct sampler;

enum { DAEMON_PATH_BYTES = 4096 };

struct daemon {
    struct options options;
    struct nr_option_set sets[2];
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    int64_t invoker_uid; /* who may join over a unix socket; -1: nobody is named */
    struct nr_tls *tls;
    struct fnmanager *fnmanager;
    struct invoker *invoker;   /* of this host; NULL: none */
    struct invokers *invokers; /* with those of other hosts; it closes `invoker` */
    struct preenv_tester *tester;
    struct errands *errands;
    struct controller *controller;
    struct gateway *gateway;
    struct bus *bus;
    struct scaler *scaler;
    struct scaling *scaling; /* scaling.c's */
    struct sampler *sampler;
    struct grant_device *devices;
    struct node_gpu *gpus;
    struct invoker_api api;      /* as --api-host says; url NULL: it says nothing */
    pthread_mutex_t images_lock; /* of no_images: the invoker takes no further image calls */
    bool no_images;
    uv_signal_t term, intr, hup, usr2;
    char host[256]; /* this host's name, in samples and records */
    char run[DAEMON_PATH_BYTES], agent[DAEMON_PATH_BYTES], installation[17];
    int lock_fd, argc;
    bool locked; /* the data folder is ours, or was until another process had it from us */
    bool stopping, left_some;
    bool handed;                /* another process serves on; ours end their calls */
    struct listening listening; /* sockets that were open before us */
    struct endings *endings;
    struct takeover *takeover; /* NULL: a start like any other */
    struct release *release;
    bool failed;                /* to start */
    struct nr_deadline tell;    /* while it stops: what it still waits for */
    struct nr_link forgettings; /* accounts that are leaving */
    char **argv;
    char *label; /* of --metrics-functions */
};

/* main.c: HUP, of a handle whose data is the daemon. */
void daemon_on_reload(uv_signal_t *s, int signum);

/* ---- places.c: what a start needs of the host. Each is 0, or NR_E* with a sentence that says what to do. Blocking. ---- */

/* The data folder is made and ours until the process ends. */
int place_lock_data(struct daemon *d, struct nr_err *err);
/* Was a restore into the data folder interrupted? */
int place_judge_restore(struct daemon *d, struct nr_err *err);
/* May this release open the databases of the data folder? */
int place_judge_schemas(struct daemon *d, struct nr_err *err);
/* A random name for this data folder, kept in it: the label by which containers are found again. */
int place_name_installation(struct daemon *d, struct nr_err *err);
/* Was the data folder restored since the last start? The containers of that one hold code of another history: none may be adopted. */
bool place_is_restored(const struct daemon *d);
/* None of them can be adopted any more. */
void place_forget_restore(const struct daemon *d);
/* run_folder.c: the folder of sockets of this data folder, and of no other. The data folder is there. */
int place_find_run(struct daemon *d, struct nr_err *err);
/* Removes that folder when it is the one that naraed names itself and nothing in it is for the next start. */
void place_leave_run(const struct daemon *d);
/* A start has failed: removes the folder when it named it itself and nothing is in it. */
void place_drop_run(const struct daemon *d);
int place_find_agent(struct daemon *d, struct nr_err *err);
/* The command that makes images here: narae-images where it lies beside naraed, else that of the tree. At start; blocking. */
const char *place_image_hint(void);
/* Cores, memory and the host's name; before any part is opened. */
void place_size_node(struct daemon *d);
int place_open_tls(struct daemon *d, struct nr_err *err);
/* What processes have that handed over and still end calls. */
int place_read_endings(struct daemon *d, struct nr_err *err);
/* Before anything is made on the host that a start which fails would leave there. */
int place_try_listen(struct daemon *d, struct nr_err *err);
int place_read_devices(struct daemon *d, struct nr_err *err);
int place_read_gpus(struct daemon *d, struct nr_err *err);
/* Does only this host reach the address? */
bool place_on_loopback(const char *listen);

/* ---- parts.c: the components, opened in one order and wired through their ports. ---- */

/* What the components would refuse of the options, and what they need of the data folder; nothing is opened for it, and nothing made. */
int part_judge_options(struct daemon *d, struct nr_err *err);
int part_judge_secrets(struct daemon *d, struct nr_err *err);
/* Metrics and decisions: in this process, or over the broker of --kafka. */
int part_open_bus(struct daemon *d, struct nr_err *err);
int part_open_fnmanager(struct daemon *d, struct nr_err *err);
/* What an invoker of this process is opened with: all but who is told, asked and adopted for it. volumes: room for a text that *ret lends. */
void part_invoker_config(struct daemon *d, char volumes[static DAEMON_PATH_BYTES],
                         struct invoker_config *ret);
int part_open_invoker(struct daemon *d, struct nr_err *err);
/* fleet.c: --docker=none: this host runs no containers. */
bool fleet_is_far_only(const struct daemon *d);
/* One log line: which layout runs here, and as which user. */
void fleet_tell_layout(struct daemon *d);
/* Its options, before anything is opened. */
int fleet_judge(struct daemon *d, struct nr_err *err);
/* The fleet, over the invoker of this host. */
int part_open_invokers(struct daemon *d, struct nr_err *err);
/* Other hosts may join; last of all. */
int part_listen_invokers(struct daemon *d, struct nr_err *err);
/* With d->takeover: what the process before has left is adopted. The function manager is open. */
int part_adopt(struct daemon *d, struct nr_err *err);
int part_open_preenv(struct daemon *d, struct nr_err *err);
int part_open_controller(struct daemon *d, struct nr_err *err);
/* What functions and the node do goes to the bus once a second. */
int part_open_sampler(struct daemon *d, struct nr_err *err);
int part_open_gateway(struct daemon *d, struct nr_err *err);
/* scaling.c: the scaler, unless --scaler=off. */
int part_open_scaler(struct daemon *d, struct nr_err *err);
/* telling.c: what the parts tell of functions, for /metrics and the bus. part_label: the "KEY=VALUE" of --metrics-functions (lent by d); NULL: there is none. */
const char *part_label(struct daemon *d);
/* What the sampler knows of functions goes to the gateway too; it is open. */
void part_tell_samples(struct daemon *d);
/* struct controller_config's on_metric; arg is the daemon. */
void part_on_metric(void *arg, const struct activation *a, const struct sample *s);
/* api_host.c: judges --api-host (place_; may ask for a name), and tells functions where the API is when there is a way (part_). */
int place_read_api_host(struct daemon *d, struct nr_err *err);
/* Of such a URL (kept); NR_EINVAL with a sentence. Blocking, any thread: it may ask for a name. */
int place_api_of(const char *url, struct invoker_api *ret, struct nr_err *err);
int part_tell_api_host(struct daemon *d, struct nr_err *err);
/* The invoker takes no further image calls; any thread. */
void part_end_images(struct daemon *d);
/* main.c: no call runs any more; the rest of a stop. */
void daemon_end(struct daemon *d);
/* Accounts that were leaving are left as they are: the next start goes on. The loop has stopped. */
void part_end_forgettings(struct daemon *d);

#endif
