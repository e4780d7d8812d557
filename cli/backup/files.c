/* The one table of what a data folder holds that a backup keeps. Its order is that of databases in an archive: what refers to functions is
 * copied before the registry, so that whatever a queued call or a policy names is in the registry that goes with it.
 */
#include "cli/backup/backup.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/data/schema_versions.h"

const struct backup_file backup_files[] = {
    {"scaling.db", BACKUP_IS_DATABASE, false, NR_SCHEMA_SCALING, 0600},
    {"calls.db", BACKUP_IS_DATABASE, false, NR_SCHEMA_CALLS, 0600},
    {"meta.db", BACKUP_IS_DATABASE, true, NR_SCHEMA_META, 0600},
    {"secret.key", BACKUP_IS_SMALL, true, 0, 0600},
    {"admin.key", BACKUP_IS_SMALL, false, 0, 0600},
    {"guest.key", BACKUP_IS_SMALL, false, 0, 0600},
    {"tls.crt", BACKUP_IS_SMALL, false, 0, 0600},
    {"tls.key", BACKUP_IS_SMALL, false, 0, 0600},
};
const size_t backup_file_count = nr_countof(backup_files);

const struct backup_file *backup_file_find(const char *name)
{
    for (size_t i = 0; i < backup_file_count; i++)
        if (strcmp(backup_files[i].name, name) == 0)
            return &backup_files[i];
    return NULL;
}

bool backup_is_code(const char *name)
{
    struct nr_str rest = nr_str_of(name), part;
    int parts = 0;

    if (strncmp(name, BACKUP_BUCKETS "/", sizeof(BACKUP_BUCKETS)) != 0 ||
        name[strlen(name) - 1] == '/')
        return false;
    while (nr_str_split(&rest, '/', &part)) {
        if (part.n == 0 || part.n > 255 || nr_str_eqz(part, ".") || nr_str_eqz(part, ".."))
            return false;
        for (size_t i = 0; i < part.n; i++)
            if (part.p[i] <= ' ' || part.p[i] > '~' || part.p[i] == '\\') /* as buckets name them */
                return false;
        parts++;
    }
    return parts == 5;
}

int backup_path(char out[BACKUP_PATH_BYTES], const char *dir, const char *name, struct nr_err *err)
{
    if (snprintf(out, BACKUP_PATH_BYTES, "%s/%s", dir, name) < BACKUP_PATH_BYTES)
        return 0;
    return nr_err_set(err, NR_EINVAL, "the path below %.200s... is longer than %d bytes", dir,
                      BACKUP_PATH_BYTES - 1);
}

enum cli_why backup_why(int code)
{
    static const struct {
        int code;
        enum cli_why why;
    } whys[] = {{NR_EINVAL, WHY_USAGE},
                {NR_EEXIST, WHY_CONFLICT},
                {NR_EBUSY, WHY_CONFLICT},
                {NR_ECONFLICT, WHY_CONFLICT},
                {NR_ENOMEM, WHY_MEMORY}};

    for (size_t i = 0; i < nr_countof(whys); i++)
        if (whys[i].code == code)
            return whys[i].why;
    return WHY_FILE;
}

const char *backup_data(const char *said)
{
    const char *set = getenv("NARAE_DATA");

    if (said && said[0])
        return said;
    return set && set[0] ? set : BACKUP_DATA;
}
