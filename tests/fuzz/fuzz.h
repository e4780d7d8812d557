/* The one function of a fuzz target: libFuzzer calls it with inputs of its own, replay.c with those of the corpus. */
#ifndef NR_TESTS_FUZZ_FUZZ_H
#define NR_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Any bytes (lent); aborts on a finding, returns 0. Called many times in one process. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
