/* Finds librdkafka and its functions. */
#include "common/bus/kafka_lib.h"

#include <dlfcn.h>
#include <stddef.h>

#include "common/base/mem.h"

#define LIBRARY "librdkafka.so.1"
#define VERSION_MIN 0x02000000

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define X(name) {"rd_kafka_" #name, offsetof(struct rdk, name)},
    RDK_FUNCTIONS(X)
#undef X
};

int rdk_load(struct rdk *ret, struct nr_err *err)
{
    struct rdk rdk;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return nr_err_set(
            err, NR_EUNAVAIL,
            "--kafka needs librdkafka, which is not here (Debian: apt install librdkafka1): %s",
            dlerror());
    for (size_t i = 0; i < nr_countof(functions); i++) {
        void *f = dlsym(library, functions[i].name);

        if (!f)
            return nr_err_set(err, NR_EUNAVAIL, "%s is too old: it has no %s (2.0 is needed)",
                              LIBRARY, functions[i].name);
        memcpy((char *)&rdk + functions[i].at, &f, sizeof(f));
    }
    if (rdk.version() < VERSION_MIN)
        return nr_err_set(err, NR_EUNAVAIL, "%s is too old: version %x, 2.0 is needed", LIBRARY,
                          (unsigned)rdk.version());
    *ret = rdk;
    return 0;
}
