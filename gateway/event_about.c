/* A message is read once, whoever listens; what each stream then costs is two comparisons of names.
 */
#include "gateway/event_about.h"

#include "common/base/json.h"
#include "common/base/json_walk.h"

/* A text member of the object. */
static struct nr_str member(struct nr_str object, const char *key)
{
    struct nr_str text = {NULL, 0};

    if (nr_json_scan_key(object, key, &text) != NR_JSON_OBJECT || text.n < 2 || text.p[0] != '"')
        return (struct nr_str){NULL, 0};
    return nr_json_unquoted(text);
}

bool event_about_read(struct nr_str message, bool decision, struct event_about *ret)
{
    struct nr_str target = {NULL, 0};

    *ret = (struct event_about){{NULL, 0}, {NULL, 0}};
    if (nr_json_scan_key(message, "target", &target) != NR_JSON_OBJECT)
        return false;
    if (decision && target.n > 0)
        message = target;
    ret->account = member(message, "account");
    ret->function = member(message, "function");
    return true;
}

bool event_about_fits(const struct event_about *a, const char *account, struct nr_str function)
{
    if (account && !nr_str_eqz(a->account, account))
        return false;
    return function.n == 0 || nr_str_eq(a->function, function);
}
