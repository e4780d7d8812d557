/* Intrusive doubly linked list: a head is a link that points to itself when empty; no memory, no failure.
 * A zeroed link is "in no list"; nr_list_del() makes it so again. One thread at a time.
 */
#ifndef NR_COMMON_BASE_LIST_H
#define NR_COMMON_BASE_LIST_H

#include <stdbool.h>

#include "common/base/mem.h"

struct nr_link {
    struct nr_link *prev, *next;
};

static inline void nr_list_init(struct nr_link *head)
{
    head->prev = head->next = head;
}
static inline bool nr_list_empty(const struct nr_link *head)
{
    return head->next == head;
}
static inline bool nr_list_linked(const struct nr_link *l)
{
    return l->next != NULL;
}
/* Before `at`: with a head, at the end of the list. */
static inline void nr_list_add(struct nr_link *at, struct nr_link *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}
/* At the front of the list. */
static inline void nr_list_push(struct nr_link *head, struct nr_link *l)
{
    nr_list_add(head->next, l);
}
static inline void nr_list_del(struct nr_link *l)
{
    if (l->next == NULL)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}
/* Takes the first link out, or NULL. */
static inline struct nr_link *nr_list_pop(struct nr_link *head)
{
    struct nr_link *l = head->next;

    if (l == head)
        return NULL;
    nr_list_del(l);
    return l;
}
/* Safe against removal of `it` inside the loop. */
#define NR_LIST_EACH(head, it)                                                                     \
    for (struct nr_link *it = (head)->next, *nr_next_##it = it->next; it != (head);                \
         it = nr_next_##it, nr_next_##it = it->next)

#endif
