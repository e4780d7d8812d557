/* Messages of the topic `metrics` on any bytes.
 *
 * What must hold: a refusal has a sentence; what is accepted is within its ceilings, tells of one thing only, and its text is read back as the
 * same sample.
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "ports/sample.h"

#define NOW 1767603600000LL

static bool same(struct nr_str a, struct nr_str b)
{
    return (a.p == NULL) == (b.p == NULL) && nr_str_eq(a, b);
}

static void check(const struct sample *s)
{
    nr_check(s->label_count <= SAMPLE_LABELS_MAX);
    nr_check(s->t_ms >= NOW - 86400000 && s->t_ms <= NOW + 86400000);
    if (s->metric.p) {
        nr_check(s->has == 0 && s->function.p == NULL && s->node.p == NULL);
        nr_check(metric_find(s->metric) == METRICS && isfinite(s->metric_value));
        return;
    }
    nr_check(s->node.p && (s->function.p == NULL) == (s->account.p == NULL));
    for (unsigned i = 0; i < METRICS; i++)
        nr_check(!(s->has & 1ull << i) || (isfinite(s->value[i]) && s->value[i] >= 0));
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++)
        nr_check(s->sketch[i] == NULL ||
                 (s->sketch[i]->count > 0 && sketch_quantile_ms(s->sketch[i], 0.99) > 0));
}

static void check_reads_back(const struct sample *s)
{
    static struct sample_room room;
    struct sample again;
    struct nr_buf text;

    nr_buf_init(&text, 8 * SAMPLE_MAX_BYTES);
    sample_write(s, &text);
    nr_check(!text.failed && sample_read(nr_buf_str(&text), NOW, &room, &again, NULL) == 0);
    nr_check(s->t_ms == again.t_ms && s->span_ms == again.span_ms && s->has == again.has);
    nr_check(same(s->metric, again.metric) && same(s->function, again.function));
    nr_check(same(s->node, again.node) && same(s->account, again.account));
    nr_check(s->label_count == again.label_count);
    nr_check(memcmp(&s->metric_value, &again.metric_value, sizeof s->metric_value) == 0 ||
             (s->metric_value == 0 && again.metric_value == 0));
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++)
        nr_check(s->sketch[i] == NULL ||
                 memcmp(s->sketch[i], again.sketch[i], sizeof *s->sketch[i]) == 0);
    nr_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct sample_room room;
    struct sample s;
    struct nr_err err = {0};
    int r = sample_read((struct nr_str){(const char *)bytes, n}, NOW, &room, &s, &err);

    nr_check((r < 0) == (err.text[0] != '\0'));
    if (r == 0) {
        check(&s);
        check_reads_back(&s);
    }
    return 0;
}
