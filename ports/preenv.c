/* Names of the outcomes of test calls. */
#include "ports/preenv.h"

#include "common/base/err.h"
#include "common/base/mem.h"

const char *preenv_outcome_text(enum preenv_outcome o)
{
    static const char *const text[] = {
        [PREENV_OK] = "ok",           [PREENV_OOM] = "oom",
        [PREENV_ABORT] = "abort",     [PREENV_ERROR] = "error",
        [PREENV_TIMEOUT] = "timeout", [PREENV_UNAVAIL] = "unavailable",
        [PREENV_STOPPED] = "stopped",
    };

    _Static_assert(nr_countof(text) == PREENV_OUTCOMES, "one text per outcome");
    return text[o];
}
