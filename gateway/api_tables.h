/* The routes of accounts' APIs as the function manager gave them, until it says that they are others now. Loop's thread.
 */
#ifndef NR_GATEWAY_API_TABLES_H
#define NR_GATEWAY_API_TABLES_H

#include "ports/fnmanager.h"

struct api_tables;

/* Words of a path behind the account; a longer one is no route's. */
#define API_WORDS_MAX 64

/* What a route's path looks like, so that a request is compared with the words of few routes: how many words it has, which of them are in
 * braces (bit 0: the first), and the sum of the marks of the others. */
struct api_mark {
    unsigned words;
    uint64_t braces, exact;
};
/* The mark of a word at its place in the path. */
uint64_t api_word_mark(struct nr_str word, unsigned at);

/* Who waits for a table; embedded in memory that lives until `done`. */
struct api_waiter {
    /* in */
    void (*done)(struct api_waiter *w);
    /* out */
    struct nr_err err;
    struct api_table *table;      /* shared, given */
    const struct api_mark *marks; /* of its routes, one each; lent during `done` */
    /* private */
    struct nr_link link;
};

/* m and loop are kept. */
struct api_tables *api_tables_make(struct fnmanager *m, struct nr_loop *loop);
/* When nobody waits any more. NULL is fine. */
void api_tables_free(struct api_tables *t);
/* The table of an account (lent): done comes once, maybe before this returns. */
void api_tables_get(struct api_tables *t, struct account *account, struct api_waiter *w);
/* The account's APIs changed, or it leaves: what is known of them is forgotten, and an answer that is on its way is nobody's. */
void api_tables_forget(struct api_tables *t, const char *account);

#endif
