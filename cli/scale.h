/* What the files of `narae scale` share: documents, and what is said of them. */
#ifndef NR_CLI_SCALE_H
#define NR_CLI_SCALE_H

#include "cli/cli.h"

/* The policy in a file, or on the standard input when it is "-" (made), and its name (made): what --name says, its own member "policy", or that of the
 * file. NULL after saying what is wrong with it. */
json_t *scale_document(const struct cli *c, const char *file, char **ret_name);
/* Sends a document to be judged; *ret (made; may be NULL) is the answer. 0, or the exit status after every mistake of `what` was printed. */
int scale_send(struct cli *c, const char *method, const char *path, const json_t *document,
               const char *what, json_t **ret);
/* The warnings in an answer, on the error channel: each once, with the file or the policy that it is about. */
void scale_warn(const struct cli *c, const json_t *answer, const char *what);
/* "/narae/v1/scaling/policies/NAME" and the tail (made). */
char *scale_policy_path(const char *name, const char *tail);
/* A line of the output; what the platform said is made harmless on a terminal. */
void scale_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A decision in words. */
void scale_say_decision(const json_t *decision);
/* "telemetry", "acme/telemetry", "stems of python:3", "nodes": what a policy is for. */
void scale_add_target(const json_t *row, struct nr_buf *out);

#endif
