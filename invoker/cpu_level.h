/* The level of this host's processor in the words of images: x86-64-v1 to v4, by what the processor says of itself and the kernel has switched on.
 */
#ifndef NR_INVOKER_CPU_LEVEL_H
#define NR_INVOKER_CPU_LEVEL_H

#include <stdint.h>

/* What an x86 processor says: registers of CPUID by leaf, and which states the kernel saves (XCR0; 0 when it does not tell). */
struct cpu_words {
    uint32_t leaf1_ecx, leaf7_ebx, extended1_ecx;
    uint64_t xcr0;
};

/* 1 to 4. Pure. */
unsigned cpu_level_of(const struct cpu_words *w);
/* Of this processor; 0 where there are no such levels. Any thread. */
unsigned cpu_level(void);

#endif
