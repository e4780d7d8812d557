/* What cmocka needs before it, and assertions on our own types that print both values. */
#ifndef NR_TESTS_UNIT_CHECK_H
#define NR_TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/str.h"

/* The view holds exactly this text (no NULs inside). */
#define assert_str_is(view, text)                                                                  \
    do {                                                                                           \
        struct nr_str view_ = (view);                                                              \
        char copy_[1024];                                                                          \
        assert_in_range(view_.n, 0, sizeof(copy_) - 1);                                            \
        memcpy(copy_, view_.p ? view_.p : "(absent)", view_.p ? view_.n : 9);                      \
        copy_[view_.p ? view_.n : 8] = '\0';                                                       \
        assert_string_equal(copy_, text);                                                          \
    } while (0)

/* The call succeeded; else its sentence is printed. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        int code_ = (call);                                                                        \
        if (code_ != 0)                                                                            \
            print_error("%s: %s\n", nr_err_name(code_), (err)->text);                              \
        assert_int_equal(code_, 0);                                                                \
    } while (0)

/* The sentence of an error holds this text. */
#define assert_says(err, part)                                                                     \
    do {                                                                                           \
        if (strstr((err)->text, (part)) == NULL)                                                   \
            fail_msg("\"%s\" does not hold \"%s\"", (err)->text, (part));                          \
    } while (0)

#endif
