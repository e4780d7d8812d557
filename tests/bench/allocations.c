/* Preloaded into naraed by the benchmark `warm`: counts what each thread asks of malloc and its kin, in a file that the benchmark
 * reads while the program runs. One row of the file per thread, found by its thread id; a row has one writer.
 *
 *   environment: LD_PRELOAD=.../liballocations.so NARAE_ALLOCATIONS=FILE (of ROWS_MAX rows of zeros)
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROWS_MAX = 256 };

struct row {
    uint64_t tid, calls, bytes;
};

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static struct row *rows;
static _Atomic unsigned row_count;
static _Thread_local __attribute__((tls_model("initial-exec"))) struct row *mine;

__attribute__((constructor)) static void open_rows(void)
{
    const char *path = getenv("NARAE_ALLOCATIONS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(struct row) * ROWS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)close(fd);
    (void)unsetenv("LD_PRELOAD"); /* the count is of this process only */
    rows = p == MAP_FAILED ? NULL : p;
}

static void count(size_t bytes)
{
    if (mine == NULL && rows) {
        unsigned n = atomic_fetch_add(&row_count, 1);

        if (n >= ROWS_MAX)
            return;
        mine = &rows[n];
        mine->tid = (uint64_t)gettid();
    }
    if (mine) {
        mine->calls++;
        mine->bytes += bytes;
    }
}

void *malloc(size_t bytes)
{
    count(bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    count(n * bytes);
    return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
    count(bytes);
    return __libc_realloc(p, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    count(bytes);
    return __libc_memalign(align, bytes);
}

int posix_memalign(void **ret, size_t align, size_t bytes)
{
    count(bytes);
    *ret = __libc_memalign(align, bytes);
    return *ret ? 0 : 12 /* ENOMEM */;
}
