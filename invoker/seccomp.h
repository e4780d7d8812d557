/* Our seccomp profile: an allow-list for the machine's one architecture, so that it costs one filter to compile at every start, not
 * three (Docker's default covers the 32-bit ABIs too; measured: 6 to 12 ms with runc). Stricter than that default: no ptrace, no
 * io_uring, no bpf, no AF_VSOCK and AF_ALG, no file handles, no kernel keyring, no new namespaces; no inotify, POSIX message queues and asynchronous input and output (io_setup), of
 * which the kernel has so many for all functions together.
 * Any thread.
 */
#ifndef NR_INVOKER_SECCOMP_H
#define NR_INVOKER_SECCOMP_H

struct platform;

/* seccomp_narrow.c: what such a platform calls beside the rest; ends with NULL. */
extern const char *const seccomp_narrow_calls[];

/* The profile of `node` (platform.h) as the Engine's API takes it, JSON text (made; free). NULL: no memory, or a node of no known platform. */
char *seccomp_profile(const struct platform *node);

#endif
