/* What Engine workers do for one container: create and start it, look whether it still runs, remove it. The work functions run on a
 * worker's thread and touch the job only; what they need is copied into it.
 */
#ifndef NR_INVOKER_START_H
#define NR_INVOKER_START_H

#include "common/base/json.h"
#include "invoker/create.h"
#include "invoker/engine.h"
#include "invoker/identity.h"

struct container;
struct invoker;

/* Made by start_container(); freed after `done`. */
struct start_job {
    struct engine_job job;
    struct nr_mail created; /* the id is there, the start goes on */
    struct container *ct;   /* loop's thread only */
    struct nr_loop *loop;
    struct function *fn; /* shared */
    struct create_spec spec;
    char *folder, *socket_dir; /* <run>/c, <run>/c/<name> */
    char (*volumes)[512];      /* where they are mounted; NULL: none */
    char name[9];
    const char *network_slot; /* its name; lent by the container's slot */
    _Atomic bool unwanted; /* set by the loop: if its turn has not come yet, nothing is created */
    /* out */
    char id[65];
    uint64_t create_us, created_us;
    char settings[IDENTITY_SETTINGS_BYTES];
    bool image_missing;
    struct nr_err err;
};

/* Made by remove_container() or look_at_container(); freed after `done`. */
struct remove_job {
    struct engine_job job;
    struct invoker *v;
    struct container *ct;     /* loop's thread only; NULL: an orphan */
    struct nr_link orphan;    /* in v->orphans */
    struct nr_deadline again; /* of an orphan that could not be removed */
    char *mounts;             /* of an orphan: folders of the host that it has, one a line */
    char *folder;
    char name[9], id[65];
    bool unpause; /* before it is removed: what is frozen cannot be killed */
    /* out */
    bool running; /* look */
    int exit_code;
    struct nr_err err;
};

/* What is the same for all containers of this invoker. */
struct create_spec create_spec_here(const struct invoker *v);
/* identity_settings() of a container that f would get now. */
void container_settings(const struct invoker *v, const struct function *f,
                        char out[static IDENTITY_SETTINGS_BYTES]);
/* Submits create + start for ct; container_created() and container_started() come on the loop. */
void start_container(struct container *ct, enum engine_rank rank);
/* Submits the removal; container_removed() comes. */
void remove_container(struct container *ct);
/* Submits a look at its state; container_looked() comes. */
void look_at_container(struct container *ct);
/* Takes note of what an earlier run left: it is in v->orphans from now on, and holds the volumes that `listed` (lent; its object in the Engine's
 * list, NULL: none) tells of. To be given to orphan_remove(). */
struct remove_job *orphan_make(struct invoker *v, const char *id, const char *name,
                               const json_t *listed);
/* Submits its removal; tried until it is gone. Part of a drain. */
void orphan_remove(struct remove_job *orphan);
/* Both, for one without volumes: removes what the probe left, by the Engine's id and the folder's name; tried until it is gone. Part of a drain. */
void remove_orphan(struct invoker *v, const char *id, const char *name);
/* Orphans that wait for another try get their last one now. */
void hurry_orphans(struct invoker *v);

/* container.c; the job is lent. */
void container_created(struct container *ct, const struct start_job *j);
void container_started(struct container *ct, struct start_job *j);
void container_removed(struct container *ct, const struct remove_job *j);
void container_looked(struct container *ct, const struct remove_job *j);

#endif
