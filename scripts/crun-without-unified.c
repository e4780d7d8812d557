/* Starts crun on a host with hybrid control groups (v1 with controllers, and v2 mounted beside them at /sys/fs/cgroup/unified), where
 * crun refuses to work: it sees v2 and asks to "drop all controllers from cgroupv2".
 *
 * This takes a mount namespace of its own, detaches the v2 mount in it and becomes crun, with the same arguments. The host's mounts stay as
 * they are; mounts that the host makes later still arrive (slave). Built static by scripts/engine, for it runs at every create, start, pause
 * and removal.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#ifndef CRUN
#define CRUN "/usr/bin/crun"
#endif
#ifndef UNIFIED
#define UNIFIED "/sys/fs/cgroup/unified"
#endif

static int failed(const char *what)
{
    (void)fprintf(stderr, "crun wrapper: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return failed("mount namespace");
    if (umount2(UNIFIED, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return failed(UNIFIED);
    (void)execv(CRUN, argv);
    return failed(CRUN);
}
