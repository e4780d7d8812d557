/* Custom metrics: values that functions tell in their logs, as Prometheus gets them. Each has the labels account and function of who told it.
 *
 * A name that ends with _total is a counter, to which every value is added; any other is a gauge, which is its last value and not told any more
 * CUSTOM_KEEP_MS after it. Bounded per account and in all; what is refused is counted by reason.
 * Any thread.
 */
#ifndef NR_GATEWAY_CUSTOM_SERIES_H
#define NR_GATEWAY_CUSTOM_SERIES_H

#include "common/base/buf.h"
#include "ports/sample.h"

enum {
    CUSTOM_OF_ACCOUNT_MAX = 100,
    CUSTOM_SERIES_MAX = 5000,
    CUSTOM_PER_SECOND = 100,                   /* of one account; so many more at once */
    CUSTOM_LABELS_MAX = SAMPLE_LABELS_MAX - 2, /* account and function come to them */
    CUSTOM_KEEP_MS = 600000
};

/* What came of a value. */
enum custom_result {
    CUSTOM_TAKEN,
    CUSTOM_FORM,  /* it could not be read */
    CUSTOM_NAME,  /* the name is the platform's or Prometheus' own */
    CUSTOM_LABEL, /* a label that is not the function's to give, or too many of them */
    CUSTOM_VALUE, /* a counter does not fall */
    CUSTOM_ROOM,  /* the account, or the platform, has as many series as it may */
    CUSTOM_RATE,  /* the account tells too many a second */
    CUSTOM_RESULTS
};

struct custom_series;
struct custom_series *custom_series_make(void);
/* NULL is fine. */
void custom_series_free(struct custom_series *t);
/* A value in the short form (lent), told by this function ("name" or "package/name"); now_ms is monotonic. Counted. */
enum custom_result custom_series_take(struct custom_series *t, const char *account,
                                      struct nr_str function, const struct sample *s,
                                      uint64_t now_ms);
/* One that did not come so far. */
void custom_series_refused(struct custom_series *t, enum custom_result why);
void custom_series_forget(struct custom_series *t, const char *account);
/* account NULL: of all. */
void custom_series_write(struct custom_series *t, const char *account, uint64_t now_ms,
                         struct nr_buf *out);
/* How many values were taken and refused: names nobody. */
void custom_series_count(struct custom_series *t, struct nr_buf *out);

#endif
