/* What wishes cost a controller with 256 other hosts: 10,000 of them, each shared out as it comes, and all of them anew when a host is lost. The hosts are scripted: no
 * link, no container. Single-threaded, as the loop.
 *
 *   fleet_wishes [WISHES]      prints a line each
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/controller/fleet_rig.h"

enum { WISHES = 10000, NAME_BYTES = 32 };

static struct rig rig;

/* CPU time of this thread: others may be at work. */
static uint64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned long long told(void)
{
    unsigned long long n = 0;

    for (size_t i = 0; i < HOSTS; i++)
        n += (unsigned long long)rig.far[i].wishes;
    return n;
}

static void wish_all(long wishes)
{
    char name[NAME_BYTES];

    for (long i = 0; i < wishes; i++) {
        const struct scaler_wish wish = {.account = "guest",
                                         .package = "",
                                         .name = name,
                                         .desired = (int)(i % 40),
                                         .maximum = i % 3 ? -1 : 40,
                                         .keep_alive_ms = -1};

        (void)snprintf(name, sizeof(name), "f%ld", i);
        invokers_wish(rig.f, &wish);
    }
}

int main(int argc, char **argv)
{
    long wishes = argc > 1 ? strtol(argv[1], NULL, 10) : WISHES;
    uint64_t began_us, longest_us = 0, all_us = 0;
    unsigned long long before;
    unsigned turns = 0;

    setup(&rig);
    open_fleet(&rig, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&rig, i);
    began_us = cpu_us();
    wish_all(wishes);
    printf("wishes %ld hosts %d\nwish_us %.1f\n", wishes, HOSTS,
           (double)(cpu_us() - began_us) / (double)wishes);
    printf("told %llu\n", before = told());
    began_us = cpu_us();
    lose(&rig, 0);
    for (;; turns++) {
        uint64_t took_us = cpu_us() - began_us;

        all_us += took_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        if (nr_list_empty(&rig.f->due))
            break;
        began_us = cpu_us();
        (void)uv_run(&rig.loop.uv, UV_RUN_ONCE);
    }
    printf("anew_ms %.1f\nanew_turns %u\nanew_longest_turn_us %llu\nanew_told %llu\n",
           (double)all_us / 1000, turns, (unsigned long long)longest_us, told() - before);
    teardown(&rig);
    return 0;
}
