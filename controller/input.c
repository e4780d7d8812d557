/* What a trigger's secret parameters gave to a call must not be read in a copy of the data, so it is sealed for as long as it waits on disk.
 *
 * A sealed text begins with a byte that no JSON begins with; that is how the two are told apart.
 */
#include "controller/internal.h"

enum { ABOUT_BYTES = 512 };

static void write_about(char out[static ABOUT_BYTES], const struct activation *a)
{
    (void)snprintf(out, ABOUT_BYTES, "call/%s/%s", a->account->name, a->id);
}

int input_seal(const struct activation *a, char **ret, struct nr_str *ret_stored)
{
    char about[ABOUT_BYTES];
    size_t n = 0;
    int r;

    *ret = NULL;
    *ret_stored = a->input;
    if (!a->input_secret)
        return 0;
    write_about(about, a);
    r = fnmanager_seal(a->ctl->fnmanager, a->input, nr_str_of(about), ret, &n, NULL);
    *ret_stored = (struct nr_str){*ret, n};
    return r;
}

void input_open(struct fnmanager *m, struct activation *a)
{
    char about[ABOUT_BYTES], *text = NULL;
    struct nr_err why = {0};
    size_t n = 0;
    int r;

    if (a->input.n == 0 || a->input.p[0] != FNMANAGER_SEAL_BEGINS)
        return;
    write_about(about, a);
    r = fnmanager_unseal(m, a->input, nr_str_of(about), &text, &n, &why);
    if (r < 0) {
        a->input = NR_STR("{}");
        activation_fail(a, r, "%s", why.text);
        return;
    }
    a->input = nr_arena_copy(&a->arena, (struct nr_str){text, n});
    a->input_secret = true;
    nr_str_wipe((struct nr_str){text, n});
    free(text);
}
