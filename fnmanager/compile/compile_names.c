/* One walk over the account's versions: whatever has a compiler has a key. */
#include "fnmanager/compile/compile_names.h"

#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_sources.h"

struct walk {
    const struct runtime_kind *kinds;
    struct nr_str account;
    struct compile_names *names;
    bool failed;
};

static struct compile_name *grow(struct walk *w)
{
    struct compile_names *l = w->names;

    if (l->n == l->cap) {
        size_t cap = 2 * l->cap + 16;
        struct compile_name *grown = nr_try_realloc(l->list, cap * sizeof(*grown));

        if (grown == NULL)
            return NULL;
        l->list = grown;
        l->cap = cap;
    }
    return &l->list[l->n++];
}

static void note(void *arg, const struct stored_source *s)
{
    struct walk *w = arg;
    const struct compile_source source = {.account = w->account,
                                          .kind = s->kind,
                                          .main = s->main,
                                          .file = s->file,
                                          .sha256 = s->sha256};

    for (const struct runtime_kind *k = w->kinds; k->kind != NULL && !w->failed; k++) {
        if (k->compiler == NULL || strcmp(k->kind, s->kind) != 0)
            continue;
        struct compile_name *name = grow(w);

        w->failed = name == NULL;
        if (name == NULL)
            return;
        *name = (struct compile_name){.package = nr_strdup(s->package),
                                      .name = nr_strdup(s->name),
                                      .number = s->number,
                                      .revision = s->revision};
        compiled_key(k->compiler, &source, name->key);
    }
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct compile_name *)a)->key, ((const struct compile_name *)b)->key);
}

int compile_names_load(struct fnmanager *m, struct nr_str account, struct compile_names *ret)
{
    *ret = (struct compile_names){NULL, 0, 0};
    struct walk w = {.kinds = m->config.kinds, .account = account, .names = ret};
    int r = metadata_sources(m->db, account, note, &w);

    if (ret->n > 0)
        qsort(ret->list, ret->n, sizeof(ret->list[0]), by_key);
    return r < 0 ? r : w.failed ? NR_ENOMEM : 0;
}

static int key_of(const void *key, const void *name)
{
    return strcmp(key, ((const struct compile_name *)name)->key);
}

bool compile_names_has(const void *arg, const char *key)
{
    const struct compile_names *l = arg;

    return l->n > 0 && bsearch(key, l->list, l->n, sizeof(l->list[0]), key_of) != NULL;
}

void compile_names_fini(struct compile_names *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].package);
        free(l->list[i].name);
    }
    free(l->list);
}
