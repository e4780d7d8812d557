/* Linked into every program of a ThreadSanitizer build: a close(2) that libuv makes by syscall() as one that the sanitizer sees.
 *
 * The sanitizer follows file descriptors by number. A number whose close it did not hear of still counts as the socket that libuv had
 * there when a work thread gets it next, from openat(), memfd_create() or pidfd_open(), and the use of it as a race with the loop's.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARGUMENTS = 6 };

/* The C library's own comes behind it. */
long syscall(long number, ...)
{
    static _Atomic(uintptr_t) next;
    uintptr_t go_on = atomic_load(&next);
    long a[ARGUMENTS];
    va_list arguments;

    va_start(arguments, number);
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_close)
        return close((int)a[0]);
    if (go_on == 0)
        atomic_store(&next, go_on = (uintptr_t)dlsym(RTLD_NEXT, "syscall"));
    return ((long (*)(long, ...))go_on)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
