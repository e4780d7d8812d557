/* Channels: names of webhooks that alerts and node wishes are told to. Only the administrator says where they lead, so no policy can make the
 * platform call an address of its own choice. One thread tells, a message of each channel in turn; who does not answer in 5 s rests while the others are told,
 * and after three times that message is given up.
 */
#ifndef NR_SCALER_CHANNELS_H
#define NR_SCALER_CHANNELS_H

#include "common/base/buf.h"
#include "common/base/log.h"
#include "scaler/store.h"

struct channels;

enum { CHANNELS_MAX = 64, CHANNEL_URL_MAX_BYTES = 2048, CHANNEL_NAME_MAX_BYTES = 128 };

struct channels_stats {
    uint64_t told, failed, dropped;
};

/* s, log kept. Reads what is stored and starts its thread. */
struct channels *channels_open(struct store *s, struct nr_log *log);
/* NR_EINVAL, NR_EQUOTA with a sentence. Blocking. */
int channel_put(struct channels *c, struct nr_str name, struct nr_str url, int64_t now_ms,
                struct nr_err *err);
/* NR_ENOENT. Blocking. */
int channel_delete(struct channels *c, struct nr_str name, struct nr_err *err);
bool channel_known(struct channels *c, const char *name);
/* {"channels":[{"channel","url","updated_ms","told","failed","last_error"}]} */
void channels_write(struct channels *c, struct nr_buf *out);
/* text (JSON, lent) is posted to the channel's URL, later; false: there is no such channel, or 32 wait for it already, or 2 MB. */
bool channel_tell(struct channels *c, const char *name, struct nr_str text);
struct channels_stats channels_stats(struct channels *c);
/* What is under way is given up. NULL is fine. Blocking, at most some seconds. */
void channels_close(struct channels *c);

#endif
