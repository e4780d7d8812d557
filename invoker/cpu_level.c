/* One row a level: what its images may use. A processor that has the words but whose kernel does not save the wide registers has not the level. */
#include "invoker/cpu_level.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/base/mem.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define BIT(n) (UINT32_C(1) << (n))

/* CPUID 1, ECX. */
enum {
    SSE3 = 0,
    SSSE3 = 9,
    FMA = 12,
    CX16 = 13,
    SSE4_1 = 19,
    SSE4_2 = 20,
    MOVBE = 22,
    POPCNT = 23,
    OSXSAVE = 27,
    AVX = 28,
    F16C = 29
};
/* CPUID 7.0, EBX; CPUID 0x80000001, ECX. */
enum {
    BMI1 = 3,
    AVX2 = 5,
    BMI2 = 8,
    AVX512F = 16,
    AVX512DQ = 17,
    AVX512CD = 28,
    AVX512BW = 30,
    AVX512VL = 31
};
enum { LAHF = 0, LZCNT = 5 };

#define EXTENDED_LEAF UINT32_C(0x80000001)
enum { SAVED_AVX = 0x06, SAVED_AVX512 = 0xE6 };

/* What each level has more than the one before; the first is v2. */
static const struct cpu_words levels[] = {
    {.leaf1_ecx = BIT(SSE3) | BIT(SSSE3) | BIT(CX16) | BIT(SSE4_1) | BIT(SSE4_2) | BIT(POPCNT),
     .extended1_ecx = BIT(LAHF)},
    {.leaf1_ecx = BIT(FMA) | BIT(MOVBE) | BIT(OSXSAVE) | BIT(AVX) | BIT(F16C),
     .leaf7_ebx = BIT(BMI1) | BIT(AVX2) | BIT(BMI2),
     .extended1_ecx = BIT(LZCNT),
     .xcr0 = SAVED_AVX},
    {.leaf7_ebx = BIT(AVX512F) | BIT(AVX512DQ) | BIT(AVX512CD) | BIT(AVX512BW) | BIT(AVX512VL),
     .xcr0 = SAVED_AVX512},
};

static bool has(const struct cpu_words *w, const struct cpu_words *all)
{
    return (w->leaf1_ecx & all->leaf1_ecx) == all->leaf1_ecx &&
           (w->leaf7_ebx & all->leaf7_ebx) == all->leaf7_ebx &&
           (w->extended1_ecx & all->extended1_ecx) == all->extended1_ecx &&
           (w->xcr0 & all->xcr0) == all->xcr0;
}

unsigned cpu_level_of(const struct cpu_words *w)
{
    unsigned level = 1;

    while (level <= nr_countof(levels) && has(w, &levels[level - 1]))
        level++;
    return level;
}

#if defined(__x86_64__)
unsigned cpu_level(void)
{
    struct cpu_words w = {0};
    uint32_t eax, ebx, ecx, edx, low, high;

    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        w.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        w.leaf7_ebx = ebx;
    if (__get_cpuid(EXTENDED_LEAF, &eax, &ebx, &ecx, &edx))
        w.extended1_ecx = ecx;
    if (w.leaf1_ecx & BIT(OSXSAVE)) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        w.xcr0 = (uint64_t)high << 32 | low;
    }
    return cpu_level_of(&w);
}
#else
unsigned cpu_level(void)
{
    return 0;
}
#endif
