/* /narae/runtime of an image: what kind of runtime it is. Lines key=value; # begins a comment. An unknown key is an
 * error, for a mistyped one would change how every call of the image runs. Without the file the image is a stranger's
 * and the agent relays to it.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtimes/agent/agent.h"

static const struct {
    const char *key;
    size_t at;
    size_t size; /* of the text; 0: yes or no */
} keys[] = {
    {"kind", offsetof(struct profile, kind), sizeof(((struct profile *)NULL)->kind)},
    {"mode", offsetof(struct profile, mode), sizeof(((struct profile *)NULL)->mode)},
    {"exec", offsetof(struct profile, exec), sizeof(((struct profile *)NULL)->exec)},
    {"heap_words", offsetof(struct profile, heap_words),
     sizeof(((struct profile *)NULL)->heap_words)},
    {"node_control", offsetof(struct profile, node_control), 0},
    {"code_folder", offsetof(struct profile, code_folder), 0},
    {"forks", offsetof(struct profile, forks), 0},
    {"acks", offsetof(struct profile, acks), 0},
};

static int set_key(struct profile *p, const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char *field = (char *)p + keys[i].at;
        if (strcmp(key, keys[i].key) != 0)
            continue;
        if (keys[i].size == 0) {
            *(bool *)(void *)field = strcmp(value, "yes") == 0;
            return 0;
        }
        if (strlen(value) >= keys[i].size)
            return -EINVAL;
        memcpy(field, value, strlen(value) + 1);
        return 0;
    }
    return -EINVAL;
}

int profile_read(const char *path, struct profile *p, const char **ret_why)
{
    char line[1024];
    *p = (struct profile){.kind = "blackbox", .mode = "relay"};
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT)
        return 0;
    if (!f) {
        *ret_why = "the image's profile cannot be read";
        return -errno;
    }
    int status = 0;
    while (status == 0 && fgets(line, sizeof line, f)) {
        line[strcspn(line, "#\r\n")] = 0;
        char *value = strchr(line, '=');
        if (value)
            *value++ = 0;
        if (line[0])
            status = value ? set_key(p, line, value) : -EINVAL;
    }
    fclose(f);
    if (status < 0)
        *ret_why = "the image's profile has a line that is not understood";
    return status;
}

unsigned split_words(char *line, char **words, unsigned size)
{
    unsigned n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " ", &rest); w && n + 1 < size; w = strtok_r(NULL, " ", &rest))
        words[n++] = w;
    words[n] = NULL;
    return n;
}
