/* Images by Engine workers: the port's calls (ports/image.h), and the pull that a start does when its image has gone. Not for who may have
 * which image, nor for what is kept: that is the function manager's.
 */
#ifndef NR_INVOKER_IMAGES_H
#define NR_INVOKER_IMAGES_H

#include <jansson.h>

#include "common/base/str.h"
#include "invoker/engine.h"
#include "ports/image.h"

/* Does c's work on a worker's thread; its `done` is not called. 0, or what c->err has. */
int images_do(struct engine_worker *w, struct image_call *c);

/* Letters that need no escape in a path of the Engine's, and no step up. */
bool images_safe_in_path(const char *reference);

/* Entry points and commands of own images by reference; only references that name one image for ever ("...@sha256:", "sha256:") are kept. */
struct image_commands;
struct image_commands *image_commands_make(void);
/* NULL is fine. */
void image_commands_free(struct image_commands *k);
/* The command of an image that is on this host (made), from memory or by the Engine. A worker's thread. NR_ENOENT when it is not there. */
int image_command(struct image_commands *k, struct engine_worker *w, const char *image,
                  json_t **ret, struct nr_err *err);

/* What pulls tell while they go on: lines of JSON, in pieces of any size. Pure. */
struct pull_text;
struct pull_text *pull_text_make(int64_t max_bytes);
void pull_text_free(struct pull_text *t);
/* The next piece. False: the pull is to end, see pull_text_error(). */
bool pull_text_add(struct pull_text *t, struct nr_str piece);
struct image_progress pull_text_progress(const struct pull_text *t);
/* 0, or why it failed: the Engine's or the registry's own words stay out of the sentence. `reference` is lent. */
int pull_text_error(const struct pull_text *t, const char *reference, struct nr_err *err);
/* What a registry's refusal means, by the words that the Engine passes on; NR_E* with a sentence for clients. */
int image_refusal(const char *reference, const char *words, struct nr_err *err);

#endif
