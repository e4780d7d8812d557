/* Words of the rule language, and what somebody meant who mistyped one. Pure; any thread.
 */
#ifndef NR_SCALER_POLICY_WORDS_H
#define NR_SCALER_POLICY_WORDS_H

#include <stdbool.h>

#include "common/base/str.h"

/* Each ends with NULL; the place of a word is the value of its enum in policy.h. */
extern const char *const mode_words[],
    *const aggregate_words[], *const compare_words[], *const action_words[], *const missing_words[];

/* The place of a word in a table; -1: it is not in it. */
int word_find(const char *const *words, struct nr_str word);

/* Our word for one that other tools have ("gt", "average", "rps"), or NULL. */
const char *word_elsewhere(struct nr_str word);
/* What was meant by a time that duration_read() refuses ("5 min", "30sec", "2 Hours"): 0, or NR_EINVAL. */
int duration_guess(struct nr_str text, int64_t *ret_ms);

/* The candidate nearest to a word, in letters that are changed, added, left out or swapped, without regard to capitals. */
struct nearest {
    char word[65];
    size_t rank;
    char best[65];  /* "": none is near */
    unsigned edits; /* letters in which it differs from the word */
};
void nearest_begin(struct nearest *n, struct nr_str word);
void nearest_try(struct nearest *n, const char *candidate);

#endif
