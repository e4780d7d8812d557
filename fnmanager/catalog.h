/* The catalog: the packages of the account whisk.system that clients expect, published for everybody. They are part of the program.
 */
#ifndef NR_FNMANAGER_CATALOG_H
#define NR_FNMANAGER_CATALOG_H

#define ACCOUNT_SYSTEM "whisk.system"

/* One package (name "") or one function of it. */
struct catalog_item {
    const char *package, *name;
    const char *mark; /* of what the body holds; also in it, as annotation narae.catalog */
    const char *body; /* of the PUT that makes it */
};
/* Packages stand before their functions; ends with a NULL package. */
extern const struct catalog_item catalog_items[];

struct fnmanager;
/* Makes what is not there, and replaces what an earlier version of the platform made. What somebody else made, blocked or retired stays as it is.
 * What cannot be made is logged: the platform works without. Blocking; at start. */
void catalog_install(struct fnmanager *m);

#endif
