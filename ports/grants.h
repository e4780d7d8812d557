/* Grants: what the administrator allows an account beyond the rules that hold for everybody, each exactly.
 *
 *   egress   host:port/protocol that its egress functions may reach although private: an IPv4 address, a network, a name
 *   volumes  named folders with a quota that outlive containers
 *   devices  names from the list that this naraed was started with
 *
 * Egress grants hold for every egress function of the account; volumes and devices for the functions that ask for them by an annotation
 * (narae.volumes, narae.devices). Never a free path, never a free address.
 * Immutable once made and counted atomically: any thread may hold and release.
 */
#ifndef NR_PORTS_GRANTS_H
#define NR_PORTS_GRANTS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

enum {
    GRANTS_EGRESS_MAX = 64,
    GRANTS_VOLUMES_MAX = 16,
    GRANTS_DEVICES_MAX = 16,
    GRANT_NAME_MAX_BYTES = 32,       /* of a volume or a device */
    GRANT_HOST_MAX_BYTES = 253,      /* of a name in an egress grant */
    GRANT_PATH_MAX_BYTES = 128,      /* of a path inside the container */
    GRANT_VOLUME_MAX_MB = 64 << 10,  /* largest quota */
    GRANT_EGRESS_PREFIX_MIN = 16,    /* the widest network */
    GRANTS_BODY_MAX_BYTES = 64 << 10 /* of the JSON text */
};

struct grant_egress {
    char *name;       /* to be resolved; NULL: it is `address` */
    uint32_t address; /* host's byte order */
    uint8_t prefix;
    uint16_t port;
    bool udp;
};

struct grant_volume {
    char *name;
    int64_t quota_mb;
    char *path; /* in the container; NULL in what an account has */
};

/* A device that this naraed offers, by its name for people. */
struct grant_device {
    char *name, *path;
};

struct grants {
    _Atomic int refs;
    struct grant_egress *egress;
    struct grant_volume *volumes;
    char **devices; /* names */
    unsigned egress_count, volume_count, device_count;
};

/* Another holder. NULL gives NULL. Returns g. */
struct grants *grants_ref(struct grants *g);
/* One holder less; the last one frees. NULL is fine. */
void grants_unref(struct grants *g);

/* Reads {"egress":["10.0.0.5:502/tcp"],"volumes":[{"name":"rows","quota_mb":64}],"devices":["gpio"]}; absent members are empty, unknown
 * ones an error. `devices` (lent; ends with a NULL name; NULL: none) may be granted. NR_EINVAL with a sentence that quotes what is
 * wrong. *ret is made (one reference). */
int grants_read(const json_t *o, const struct grant_device *devices, struct grants **ret,
                struct nr_err *err);
/* As grants_read(), for what was stored by an earlier run: devices that are no longer offered are left out. */
int grants_stored(const json_t *o, const struct grant_device *devices, struct grants **ret,
                  struct nr_err *err);
/* "gpio=/dev/gpiochip0,meter=/dev/ttyUSB0" -> a list (made, grants_devices_free(); ends with a NULL name); "" and NULL are empty. Paths
 * below /dev without a step up. */
int grants_read_devices(const char *text, struct grant_device **ret, struct nr_err *err);
void grants_devices_free(struct grant_device *list);
/* One egress grant from its text; name is made. */
int grants_read_egress(const char *text, struct grant_egress *ret, struct nr_err *err);
/* "a.b.c.d" or "a.b.c.d/n" with no bits behind the prefix; host's byte order. False for anything else, and ret is untouched then. */
bool grants_read_address(struct nr_str text, uint32_t *ret_address, uint8_t *ret_prefix);
/* What grants_read() reads (made); NULL g: all empty. NULL without memory. */
json_t *grants_json(const struct grants *g);
/* Do both let through the same addresses and ports? NULL is nothing. */
bool grants_same_egress(const struct grants *a, const struct grants *b);

/* What a function gets: the account's egress grants when it has egress, the volumes and devices that its annotations
 * (lent; [{"key","value"}...], may be NULL) ask for. *ret is made, or NULL when it is nothing. NR_EFORBIDDEN names what is asked for and
 * not granted, NR_EINVAL what is not well formed. */
int grants_for_function(const struct grants *account, const json_t *annotations, bool egress,
                        struct grants **ret, struct nr_err *err);

#endif
