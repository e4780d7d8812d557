/* Linked into every program of a ThreadSanitizer build: openat(2) and memfd_create(2) as an open(2) that the sanitizer sees.
 *
 * It follows file descriptors by number and hears of open() and close(), but not of these two, and not of a close that libuv makes by
 * a system call of its own. A number that our openat() got from the kernel then still counts as the socket that libuv had there, and
 * our use of it as a race with the loop's.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int openat(int dirfd, const char *name, int flags, ...)
{
    char path[PATH_MAX];
    va_list arguments;
    mode_t mode = 0;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (dirfd == AT_FDCWD || name[0] == '/')
        return open(name, flags, mode);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
    return open(path, flags, mode);
}

/* A second opening of the same memory, so that it has a number that the sanitizer knows; the first goes unseen, as it came. */
int memfd_create(const char *name, unsigned flags)
{
    char path[64];
    long unseen = syscall(SYS_memfd_create, name, flags);

    if (unseen < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%ld", unseen);
    int fd = open(path, O_RDWR | (flags & MFD_CLOEXEC ? O_CLOEXEC : 0));

    (void)syscall(SYS_close, unseen);
    return fd;
}
