/* Does anybody decide? Who does says so once a minute on the topic decisions, whether or not there is anything to decide; who hears it, or anything that was
 * decided, knows how long ago that was. By the monotonic clock, so that a clock that is set makes nobody dead or alive.
 */
#include "scaler/alive.h"

#include "common/base/clock.h"
#include "common/base/json.h"

enum { SAY_MS = 60000 };

void alive_say(struct scaler *s)
{
    int64_t mono_ms = (int64_t)nr_mono_ms();

    if (!s->c.decides || !s->hearing || (s->said_ms > 0 && mono_ms - s->said_ms < SAY_MS))
        return;
    nr_auto_json json_t *j =
        json_pack("{sisssssI}", "v", 1, "kind", "alive", "by", s->id, "t", (json_int_t)tick_now(s));
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    s->said_ms = mono_ms;
    if (text)
        (void)bus_publish(s->c.bus, BUS_DECISIONS, NR_STR("scaler"), nr_str_of(text));
}

void alive_heard(struct scaler *s, int64_t t_ms)
{
    int64_t now_ms = tick_now(s), mono_ms = (int64_t)nr_mono_ms();

    if (t_ms <= 0 || t_ms > now_ms + AGAIN_MS)
        return;
    mono_ms -= t_ms < now_ms ? pace_real(&s->c.pace, now_ms - t_ms) : 0;
    if (!s->heard_any || mono_ms > atomic_load(&s->heard_ms))
        atomic_store(&s->heard_ms, mono_ms);
    s->heard_any = true;
}

double alive_age_s(struct scaler *s)
{
    return (double)((int64_t)nr_mono_ms() - atomic_load(&s->heard_ms)) / 1000;
}
