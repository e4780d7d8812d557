/* What the verbs of packages, triggers and rules share. */
#ifndef NR_CLI_ENTITIES_H
#define NR_CLI_ENTITIES_H

#include "cli/cli.h"

/* Of "NAME" or "/NAMESPACE/NAME" in a collection ("packages"): the path of the API with `query` behind (made); NULL after saying that it is no such name. */
char *entity_path(const struct cli *c, const char *collection, const char *word, const char *query);
/* "NAME" of either. */
const char *entity_short(const char *word);
/* "/_/NAME" (made) of "NAME"; what begins with a slash stays. */
char *entity_full(const char *word);
/* {"a":1} as [{"key":"a","value":1}] (made); NULL is an empty list. */
json_t *entity_pairs(const json_t *object);
/* A body (made) with the parameters and annotations of the command. */
json_t *entity_body(const struct cli *c);
/* PUT of the first word's entity; `overwrite`: it may be there already. Prints "created package NAME" or the answer. *ret (made; may be NULL). */
int entity_put(struct cli *c, const char *collection, const json_t *body, bool overwrite,
               json_t **ret);
/* GET and print of the first word's entity. */
int entity_get(struct cli *c, const char *collection);
/* GET of the first word's entity; *ret (made). */
int entity_read(struct cli *c, const char *collection, json_t **ret);
/* DELETE of the first word's entity after the question; what (lent) is said of it: "package p with its 3 functions". */
int entity_delete(struct cli *c, const char *collection, const char *query, const char *what);
/* A page of a collection as a table. */
int entity_list(struct cli *c, const char *collection, const struct column *columns, size_t count,
                const char *none);

/* uses.c: who needs this function (lent, "name" or "package/name"): ", which the rule r and the sequence s use" is added to out; nothing is when nobody does, or when
 * it cannot be found out. */
void uses_of_function(struct cli *c, const char *function, struct nr_buf *out);
/* ", which the policies a and b use": whose rules, or whose wishes, are told to that channel. */
void uses_of_channel(struct cli *c, const char *channel, struct nr_buf *out);
/* "a", "b", "c" as "a, b and c"; of more than five the rest is counted. */
void uses_add_names(const json_t *names, struct nr_buf *out);

#endif
