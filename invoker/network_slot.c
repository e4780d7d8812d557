/* A slot as the Engine and the kernel see it: a pause container that holds a network namespace, a pair of interfaces of which one end is
 * in it, a pidfd that tells its death. Blocking; on Engine workers, and at start on the calling thread.
 *
 * The Engine makes the container without a network, which costs a third of its own bridge; the interface is ours. A container whose
 * process is not inside it by its control group is not taken: a process id may have been given to another.
 */
#include "invoker/network_slot.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/json.h"

enum { PATH_BYTES = 512, INSTALLATION_HEAD = 8 };

static const struct nr_str no_body = {NULL, 0};

void slot_name(struct net_slot *s, unsigned index)
{
    s->index = index;
    s->address = s->n->firewall.subnet.address + 1 + index;
    (void)snprintf(s->link, sizeof(s->link), "n%s-%u", s->n->firewall.tag, index % 10000);
    (void)snprintf(s->number, sizeof(s->number), "%u", index % 10000);
}

/* ---- images ------------------------------------------------------------------------------------------------- */

char *slot_find_image(struct engine_worker *w)
{
    static const char path[] =
        "/images/json?filters=%7B%22reference%22%3A%5B%22narae%2Fnative%22%2C"
        "%22narae%2Fpython%22%2C%22narae%2Fnodejs%22%5D%7D";
    struct engine_reply reply = {0};
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, NULL);
    nr_auto_json json_t *list = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;
    char *found = NULL;
    size_t i;
    json_t *each;

    nr_buf_fini(&reply.body);
    json_array_foreach(list, i, each) {
        const char *tag = json_string_value(json_array_get(json_object_get(each, "RepoTags"), 0));

        if (tag && (found == NULL || strncmp(tag, "narae/native:", 13) == 0)) {
            free(found);
            found = nr_strdup(tag);
        }
    }
    return found;
}

/* ---- making ------------------------------------------------------------------------------------------------- */

static int create(struct engine_worker *w, struct net_slot *s, struct nr_err *err)
{
    char path[PATH_BYTES];
    struct engine_reply reply = {0};
    size_t n = 0;
    nr_auto_free char *body = create_body(&s->spec, &n);

    if (body == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the create body");
    (void)snprintf(path, sizeof(path), "/containers/create?name=narae-%.*s-%s", INSTALLATION_HEAD,
                   s->n->installation, s->name);
    int r = engine_want(w, "POST", path, (struct nr_str){body, n}, ENGINE_START_MS, &reply, err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;
    const char *id = o ? nr_json_string(o, "Id") : NULL;

    nr_buf_fini(&reply.body);
    if (r == 0 && (id == NULL || strlen(id) != 64 || id[strspn(id, "0123456789abcdef")] != '\0'))
        return nr_err_set(err, NR_EPROTO, "the Engine named no container id");
    if (r == 0)
        (void)snprintf(s->id, sizeof(s->id), "%s", id);
    return r;
}

int slot_open_pid(struct engine_worker *w, struct net_slot *s, pid_t *ret_pid, struct nr_err *err)
{
    char path[PATH_BYTES];
    struct engine_reply reply = {0};

    (void)snprintf(path, sizeof(path), "/containers/%s/json", s->id);
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;
    pid_t pid = (pid_t)json_integer_value(json_object_get(json_object_get(o, "State"), "Pid"));

    nr_buf_fini(&reply.body);
    if (r < 0)
        return r;
    if (pid <= 0)
        return nr_err_set(err, NR_EUNAVAIL, "network slot %s ended at once", s->name);
    s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (s->pidfd < 0)
        return nr_err_set(err, NR_EUNAVAIL, "a process of a container cannot be watched: %s",
                          strerror(errno));
    if (!inside_cgroup(pid, s->id)) {
        (void)close(nr_steal_fd(&s->pidfd));
        return nr_err_set(err, NR_EUNAVAIL, "process %d is not seen inside network slot %s",
                          (int)pid, s->name);
    }
    *ret_pid = pid;
    return 0;
}

int slot_grant(struct net_slot *s, const struct grants *grants, struct nr_err *err)
{
    struct firewall_target targets[FIREWALL_ADDRESSES_MAX];
    size_t count = firewall_targets(grants, targets); /* may take long: not under the lock */

    s->granted = true;
    (void)pthread_mutex_lock(&s->n->firewall_lock);
    int r = firewall_grant(&s->n->firewall, s->index, s->address, targets, count, err);

    (void)pthread_mutex_unlock(&s->n->firewall_lock);
    return r;
}

int slot_make(struct engine_worker *w, struct net_slot *s, struct nr_err *err)
{
    char path[PATH_BYTES];
    struct engine_reply reply = {0};
    const struct firewall *f = &s->n->firewall;
    pid_t pid = 0;

    if (s->image == NULL)
        s->image = slot_find_image(w);
    if (s->image == NULL)
        return nr_err_set(err, NR_EUNAVAIL, "no image of ours is there to hold a network");
    s->spec.image = s->image;
    int r = create(w, s, err);

    if (r < 0)
        return r;
    (void)snprintf(s->mode, sizeof(s->mode), "container:%s", s->id);
    (void)snprintf(path, sizeof(path), "/containers/%s/start", s->id);
    r = engine_want(w, "POST", path, no_body, ENGINE_START_MS, &reply, err);
    nr_buf_fini(&reply.body);
    if (r == 0)
        r = slot_open_pid(w, s, &pid, err);
    if (r == 0 && s->n->stale)
        r = slot_grant(s, NULL, err);
    return r == 0 ? network_link_plug(f->bridge, s->link, pid, s->address, f->subnet, err) : r;
}

/* ---- removal ------------------------------------------------------------------------------------------------ */

int slot_remove(struct engine_worker *w, struct net_slot *s, struct nr_err *err)
{
    char path[PATH_BYTES];
    struct engine_reply reply = {0};

    if (s->id[0])
        (void)snprintf(path, sizeof(path), "/containers/%s?force=1&v=1", s->id);
    else /* its create failed, or the answer was lost: the name is known all the same */
        (void)snprintf(path, sizeof(path), "/containers/narae-%.*s-%s?force=1&v=1",
                       INSTALLATION_HEAD, s->n->installation, s->name);
    int r = engine_want(w, "DELETE", path, no_body, ENGINE_ASK_MS, &reply, err);

    nr_buf_fini(&reply.body);
    if (r == NR_ENOENT) {
        *err = (struct nr_err){0};
        r = 0;
    }
    if (r == 0)
        r = network_link_remove(s->link, err);
    return r == 0 && s->granted ? slot_grant(s, NULL, err) : r;
}

json_t *slot_list(struct engine_worker *w, const char *installation, struct nr_err *err)
{
    char filter[128], encoded[3 * sizeof(filter) + 1], path[sizeof(encoded) + 64];
    struct engine_reply reply = {0};

    (void)snprintf(filter, sizeof(filter),
                   "{\"label\":[\"narae.installation=%s\",\"narae.kind=slot\"]}", installation);
    (void)nr_pct_encode(nr_str_of(filter), encoded);
    (void)snprintf(path, sizeof(path), "/containers/json?all=1&filters=%s", encoded);
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, err);
    json_t *list = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;

    nr_buf_fini(&reply.body);
    return list;
}
