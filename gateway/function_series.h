/* The metrics of single functions, as Prometheus gets them. A chosen few have series of their own, all others are summed, so that their number is
 * bounded however many functions there are: those that were called most of late, and those that carry the label which the administrator names.
 *
 * Every counter is whole and never falls: what came while a function had no series of its own counts in the sum of the others, what came while it had them
 * counts there. All series together are exactly what was told.
 * Any thread.
 */
#ifndef NR_GATEWAY_FUNCTION_SERIES_H
#define NR_GATEWAY_FUNCTION_SERIES_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ports/gateway.h"

/* Rows are functions that are known; those with series of their own are far fewer. */
enum {
    SERIES_ROWS_MAX = 2000,
    SERIES_TOP_MAX = 200,
    SERIES_LABELLED_MAX = 100,
    SERIES_LABELLED_OF_ACCOUNT_MAX = 25,
    SERIES_WORD_BYTES = 128
};

/* "off", "top:20", "label:tier=critical" or both with a comma between. */
struct series_choice {
    unsigned top;                                          /* most called; 0: none */
    char key[SERIES_WORD_BYTES], value[SERIES_WORD_BYTES]; /* of an annotation; "": none */
};
/* NR_EINVAL with a sentence. */
int series_choice_read(const char *text, struct series_choice *ret, struct nr_err *err);

struct function_series;
struct function_series *function_series_make(const struct series_choice *choice);
/* NULL is fine. */
void function_series_free(struct function_series *t);
/* What a function did in a stretch of time, in the long form (lent); now_ms is monotonic. */
void function_series_take(struct function_series *t, const struct sample *s,
                          enum series_label label, int64_t now_ms);
void function_series_forget(struct function_series *t, const char *account);
/* account NULL: the chosen functions of all accounts, and the sum of the others; else every function of this account that is known, SERIES_TOP_MAX
 * at most. */
void function_series_write(struct function_series *t, const char *account, int64_t now_ms,
                           struct nr_buf *out);
/* How many are known and how many have series of their own: names nobody. */
void function_series_count(struct function_series *t, struct nr_buf *out);

#endif
