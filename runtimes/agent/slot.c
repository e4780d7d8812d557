/* What a slot says at the end of a call: ANSWER, then LOG, then END, each made once and sent in one go. */
#include "runtimes/agent/slot.h"

#include <stdlib.h>
#include <string.h>

#include "runtimes/agent/worker.h"

void slot_answer(struct slot *s, const char *bytes, size_t length, bool failed)
{
    size_t limit = s->agent->setup.result_max_bytes;
    uint8_t flags = failed ? NR_FRAME_FAILED : 0;
    if (length <= limit) {
        slot_send(s, chunk_frame(NR_FRAME_ANSWER, flags, s->call, bytes, length));
        return;
    }
    uint64_t true_length = length;
    struct nr_frame head = {
        .length = (uint32_t)(sizeof true_length + limit),
        .type = NR_FRAME_ANSWER,
        .flags = flags | NR_FRAME_TRUNCATED,
        .call = s->call,
    };
    struct chunk *c = chunk_make(sizeof head + head.length);
    if (!c)
        return;
    memcpy(c->bytes, &head, sizeof head);
    memcpy(c->bytes + sizeof head, &true_length, sizeof true_length);
    memcpy(c->bytes + sizeof head + sizeof true_length, bytes, limit);
    slot_send(s, c);
}

void slot_fail(struct slot *s, const char *sentence)
{
    json_t *o = json_pack("{s:s}", "error", sentence);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (text)
        slot_send(s, chunk_frame(NR_FRAME_ANSWER, NR_FRAME_FAILED, s->call, text, strlen(text)));
    free(text);
    json_decref(o);
}

void slot_end(struct slot *s, uint64_t call, struct worker *w, enum nr_frame_verdict verdict,
              int exit_status)
{
    bool truncated = false;
    struct chunk *frames = w ? logs_end(&w->logs, call, &truncated) : NULL;
    struct nr_frame_end end = {
        .verdict = truncated && verdict == NR_VERDICT_OK ? NR_VERDICT_TAINTED : (uint8_t)verdict,
        .exit_status = exit_status,
    };
    struct outbox out = {0};
    outbox_add(&out, frames);
    outbox_add(&out, chunk_frame(NR_FRAME_END, 0, call, &end, sizeof end));
    s->busy = false;
    s->last_words = verdict == NR_VERDICT_EXITED || verdict == NR_VERDICT_OOM;
    slot_send(s, out.first);
}
