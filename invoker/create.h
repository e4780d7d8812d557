/* The body of the Engine's create call. It is made from a struct of numbers, choices and texts of ours; the only texts from outside
 * are the image's reference and, for own images, the command that the image itself names. Pure. Any thread.
 */
#ifndef NR_INVOKER_CREATE_H
#define NR_INVOKER_CREATE_H

#include <jansson.h>

#include "common/base/buf.h"
#include "invoker/gpu.h"
#include "ports/function.h"

struct grant_device;

/* The uid and gid of every function. */
#define CONTAINER_UID 65534
#define CONTAINER_MEMORY_STEP_MB 64

/* None; the Engine's bridge; none of the Engine's, for the host plugs it into a slot (network.h) once it runs. */
enum create_network { CREATE_NET_DISABLED, CREATE_NET_BRIDGE, CREATE_NET_SLOT };

enum { CREATE_MOUNTS_MAX = 16, CREATE_DEVICES_MAX = 16 };

/* A volume that was granted: `source` is a folder that we made on the host. */
struct create_mount {
    const char *source, *target;
};

/* A device of naraed's list: the same path inside. `group`: its group on the host, joined when it is not root's (0). */
struct create_device {
    const char *path;
    unsigned group;
};

/* All that can be said about a container. Texts are lent. */
struct create_spec {
    const char *image;
    const char *id;           /* 8 hex; ours */
    const char *socket_dir;   /* on the host, mounted read-only at /.narae/s */
    const char *agent_path;   /* on the host, mounted at /.narae/agent */
    const char *hosts_path;   /* on the host, mounted at /etc/hosts without network and in a slot */
    const char *resolv_path;  /* on the host, mounted at /etc/resolv.conf in a slot */
    const char *installation; /* labels */
    const char *invoker;
    const char *kind;
    const json_t
        *command; /* own images: array of the image's entry point and command; NULL: none */
    enum create_network network;
    int64_t memory_mb;
    int64_t cpus_milli; /* cap in thousandths of a core; 0: none */
    int64_t cpu_share;  /* weight; 0: in proportion to memory */
    struct gpu_grant gpu;
    const struct node_gpu *gpus; /* the inventory that gpu.devices counts */
    int64_t code_tmpfs_mb;       /* /action */
    bool many_files;             /* code is an archive */
    bool stem;                   /* it says hello only once it has booted and rehearsed */
    bool concurrent;             /* more than one call at a time */
    bool swappiness;             /* the Engine takes MemorySwappiness (cgroup v1) */
    const char *seccomp;         /* JSON of a profile; NULL: the Engine's default */
    const char *runtime;         /* of the Engine's; NULL or "": its default */
    const char *cgroup_parent;   /* of the container's control group; NULL or "": the Engine's */
    struct create_mount volumes[CREATE_MOUNTS_MAX];
    struct create_device devices[CREATE_DEVICES_MAX];
    unsigned volume_count, device_count;
};

/* What the function's snapshot says about its container: image, kind, network, sizes, weight. The places, labels and GPUs stay as they are. */
void create_spec_of(const struct function *f, bool has_bridge, struct create_spec *s);
/* The devices of `grants` (NULL: none) by the list that this naraed was given; one that is not there now is left to the Engine to refuse. */
void create_devices(const struct grants *grants, const struct grant_device *list,
                    struct create_spec *s);
/* The body (made), or NULL without memory. */
char *create_body(const struct create_spec *s, size_t *ret_n);
/* What the container of a function with this limit takes from the node: rounded up to the step. */
int64_t container_memory_mb(int64_t memory_mb);
/* Its weight, in proportion to memory; a container of 256 MB weighs as much as any without a weight of its own. */
int64_t container_cpu_shares(int64_t memory_mb);
/* The weight of f's containers: the one that it asks for, or that of its memory. */
int64_t function_cpu_shares(const struct function *f);
/* Does f ask for more than memory raises: a weight or a cap of its own? */
bool function_has_cpu(const struct function *f);

#endif
