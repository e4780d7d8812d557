/* Parameters that are secret: {"key","value","secret":true} in a body is stored and shown as {"key","value":"<base64>","encryption":"aes-256"},
 * sealed for one account by its id (metadata_accounts.h; 0, no account, seals and opens nothing), and opened only where a snapshot is made. An "init" beside them stays. Not for annotations: these are
 * shown to everybody. Blocking; any thread of the manage plane.
 */
#ifndef NR_FNMANAGER_SEALED_H
#define NR_FNMANAGER_SEALED_H

#include "fnmanager/entities/entity_body.h"
#include "fnmanager/handler.h"
#include "fnmanager/accounts/secrets.h"

/* Of one entity: each takes more room sealed than open. */
#define SEALED_MAX 256

/* Secrets that were sealed for another account or under another key, and so were taken out. Zeroed to begin with. */
struct sealed_lost {
    size_t n;
    char names[320]; /* 'a', 'b'; as many as there is room for */
};

/* Changes the elements of `parameters` (lent; NULL is fine) that are secret to what is stored. One that is sealed already (clients repeat what they have
 * read) stays as it is when it opens for `account`; else it is refused, or taken out and told in lost when that is not NULL. NR_EINVAL with
 * the API's sentence, which names the key and never a value; NR_EINTERNAL and others: it cannot be sealed here. */
int sealed_take(struct secrets *s, uint64_t account, json_t *parameters, struct sealed_lost *lost,
                struct nr_err *err);
/* The same for the body of a call by its account; the sentence is in call->err, and what only the operator can mend is in the log. */
int sealed_take_call(struct fnmanager *m, struct fn_call *call, json_t *parameters);
/* The other way: all values of a stored array (lent) are open ones behind it, and what told of a seal is gone. NR_ECORRUPT and others with a sentence.
 * sealed_forget() in any case. */
int sealed_open(struct secrets *s, uint64_t account, json_t *parameters, struct nr_err *err);
/* Wipes the texts in all values of an array (lent) that nobody reads any more; NULL is fine. */
void sealed_forget(json_t *parameters);
/* The same in one value (lent). */
void sealed_forget_value(json_t *value);
/* The sentence of what was lost, into err (its code stays 0 when nothing was). */
void sealed_tell_lost(const struct sealed_lost *lost, struct nr_err *err);

#endif
