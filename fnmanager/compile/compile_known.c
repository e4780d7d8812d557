/* A map of keys. When it is full it is emptied: hashing a file once more costs less than keeping account of which was asked for last. */
#include "fnmanager/compile/compile_known.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "fnmanager/compile/compiled.h"

enum { KNOWN_MAX = 20000 };

struct known {
    struct nr_map_node node;
    char key[COMPILED_KEY_BYTES];
};

static void known_gone(struct nr_map_node *n, void *arg)
{
    (void)arg;
    free(nr_container_of(n, struct known, node));
}

static void empty(struct compiling *c)
{
    (void)nr_map_drain(&c->whole, NULL, known_gone, NULL);
}

bool compile_is_known(struct compiling *c, const char *key)
{
    pthread_mutex_lock(&c->lock);
    bool known = nr_map_get(&c->whole, nr_str_of(key)) != NULL;

    pthread_mutex_unlock(&c->lock);
    return known;
}

void compile_know(struct compiling *c, const char *key)
{
    struct known *k = nr_try_alloc(sizeof(*k));
    struct nr_map_node *old;

    if (k == NULL)
        return;
    (void)snprintf(k->key, sizeof(k->key), "%s", key);
    k->node.key = nr_str_of(k->key);
    pthread_mutex_lock(&c->lock);
    if (c->whole.count >= KNOWN_MAX)
        empty(c);
    old = nr_map_put(&c->whole, &k->node);
    pthread_mutex_unlock(&c->lock);
    if (old)
        free(nr_container_of(old, struct known, node));
}

void compile_unknow(struct compiling *c, const char *key)
{
    pthread_mutex_lock(&c->lock);
    struct nr_map_node *n = nr_map_del(&c->whole, nr_str_of(key));

    pthread_mutex_unlock(&c->lock);
    if (n)
        free(nr_container_of(n, struct known, node));
}

void compile_known_fini(struct compiling *c)
{
    empty(c);
    nr_map_fini(&c->whole);
}
