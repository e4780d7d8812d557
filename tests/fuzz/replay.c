/* Runs a fuzz target once over the empty input and every file of the folders named: found bugs stay found. Each input lies in memory
 * of exactly its size, so that a sanitizer sees a read behind it. No files is a failure: a corpus that got lost tests nothing.
 */
#include <dirent.h>
#include <limits.h>

#include "common/base/err.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "fuzz.h"

enum { INPUT_BYTES_MAX = 16 << 20 };

static void run(const char *bytes, size_t n)
{
    nr_auto_free uint8_t *exact = nr_alloc(n);

    if (n)
        memcpy(exact, bytes, n);
    nr_check(LLVMFuzzerTestOneInput(exact, n) == 0);
}

static int replay(const char *folder)
{
    DIR *d = opendir(folder);
    int files = 0;

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char path[PATH_MAX];
        nr_auto_free char *bytes = NULL;
        size_t n = 0;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || nr_file_read(path, INPUT_BYTES_MAX, &bytes, &n, NULL) < 0)
            continue;
        (void)printf("%s\n", path);
        (void)fflush(stdout);
        run(bytes, n);
        files++;
    }
    if (d)
        (void)closedir(d);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0;

    run("", 0);
    for (int i = 1; i < argc; i++)
        files += replay(argv[i]);
    (void)printf("%d inputs\n", files);
    return files > 0 ? 0 : 1;
}
