/* An identity file on any bytes: what is taken for an identity is within its bounds, and is the same after it was written and read
 * again; what is none has a sentence and leaves the result alone.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "invoker/identity.h"

enum { INPUT_BYTES_MAX = 8192 };

static const char name[] = "0a1b2c3d";
static char folder[] = "/tmp/narae-fuzz-identity-XXXXXX";
static char path[sizeof(folder) + 32];

static void leave(void)
{
    (void)nr_dir_remove(folder, NULL);
}

static void same(const struct identity *a, const struct identity *b)
{
    const char *const texts[][2] = {
        {a->container, b->container}, {a->kind, b->kind},
        {a->account, b->account},     {a->package, b->package},
        {a->name, b->name},           {a->version, b->version},
        {a->settings, b->settings},   {a->network_slot, b->network_slot},
    };

    for (size_t i = 0; i < nr_countof(texts); i++)
        nr_check(strcmp(texts[i][0], texts[i][1]) == 0);
    nr_check(a->revision == b->revision && a->memory_mb == b->memory_mb && a->slots == b->slots);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct identity first = {.kind = "untouched"}, second = {0};
    struct nr_err err = {0};

    if (n > INPUT_BYTES_MAX)
        return 0;
    if (path[0] == '\0') {
        nr_check(mkdtemp(folder) != NULL && atexit(leave) == 0);
        (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    nr_check(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && close(fd) == 0);
    int r = identity_read(folder, name, &first, &err);

    nr_check(r == 0 || (r == NR_ECORRUPT && err.text[0] != '\0'));
    if (r < 0) {
        nr_check(strcmp(first.kind, "untouched") == 0);
        return 0;
    }
    nr_check(first.memory_mb >= 1 && first.slots >= 1);
    nr_check(identity_write(folder, name, &first, NULL) == 0);
    nr_check(identity_read(folder, name, &second, NULL) == 0);
    same(&first, &second);
    identity_fini(&second);
    identity_fini(&first);
    return 0;
}
