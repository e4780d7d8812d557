/* What every unit test of the agent includes: cmocka in its order. */
#ifndef NARAE_TESTS_UNIT_RUNTIMES_UNIT_H
#define NARAE_TESTS_UNIT_RUNTIMES_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
