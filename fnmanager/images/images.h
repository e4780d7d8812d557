/* Own images: may this account have it, which one is it for ever (its digest), and is it on this host? Also who pulls what now, and which images
 * nobody needs. Blocking; threads of the manage plane, never the quick one.
 *
 *   local     an image that was made on this host and belongs to no registry is anybody's; it is pinned to its id
 *   pulled    from a registry the account must be let have it each time it deploys one, whatever lies on this host already: what another account
 *             pulled gives it nothing. It is pinned to repository@digest
 */
#ifndef NR_FNMANAGER_IMAGES_H
#define NR_FNMANAGER_IMAGES_H

#include <pthread.h>

#include "common/base/list.h"
#include "common/base/str.h"
#include "fnmanager/images/image_name.h"
#include "ports/image.h"

struct fnmanager;
struct fn_call;

struct images {
    pthread_mutex_t lock;
    struct nr_link pulls; /* under way, and failed ones of a while ago */
    bool ready;           /* inited */
};

void images_init(struct images *i);
/* Fine when it was never inited. */
void images_fini(struct images *i);

/* True when this host can have own images at all: somebody gave us an invoker. */
bool images_are_possible(const struct fnmanager *m);
/* The pin of `reference` (lent) for `account` (lent): on this host when this returns 0. *ret_pin is made. A refusal is a sentence for clients. */
int images_pin(struct fnmanager *m, const char *account, const char *reference, char **ret_pin,
               struct nr_err *err);

/* The same in two steps. The list shows the pull from the first one on; NR_EQUOTA when the account has too many under way. *pull belongs to the
 * list, and the second step ends it. */
struct image_pull;
int images_announce(struct fnmanager *m, const char *account, const struct image_name *name,
                    struct image_pull **ret, struct nr_err *err);
int images_pin_announced(struct fnmanager *m, struct image_pull *pull,
                         const struct image_name *name, char **ret_pin, struct nr_err *err);

/* The account (lent) leaves: its failed pulls are forgotten, and those that have not begun will not. None of it may be under way. */
void images_forget(struct images *i, struct nr_str account);

/* One call of the invoker's port, waited for; c->done, owner and progress are set here. Returns c->err.code. */
int images_ask(struct fnmanager *m, struct image_call *c,
               void (*progress)(struct image_call *c, const struct image_progress *p), void *owner);

/* Removes images that we pulled and no version names; {"removed":[...],"kept":[...],"bytes":n} is made. */
int images_prune(struct fnmanager *m, json_t **ret, struct nr_err *err);
/* Pulls of the account (an absent one: of all) as [{"reference","account","state","progress"|"error"}] (made). */
json_t *images_pulls(struct fnmanager *m, struct nr_str account);
/* Is one of this account under way with this reference? */
bool images_is_pulling(struct fnmanager *m, const char *account, const char *reference);

/* registries.c: what the Engine shows the registry `host` for the account (made; images_forget_auth()), or NULL when it has no credentials there. */
int registry_auth(struct fnmanager *m, struct nr_str account, const char *host, char **ret,
                  struct nr_err *err);
/* Wipes and frees; NULL is fine. */
void registry_forget_auth(char *auth);
/* May images come from this host? NR_EFORBIDDEN names the option. */
int registry_is_allowed(const struct fnmanager *m, const char *host, struct nr_err *err);

#endif
