/* Reading a document member by member: where the reader is, what it found wrong, and tables of members that say how each is read and written.
 * Private to the policy's files; one thread at a time.
 */
#ifndef NR_SCALER_POLICY_READER_H
#define NR_SCALER_POLICY_READER_H

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "scaler/policy/policy.h"
#include "scaler/policy/words.h"

struct reader {
    struct policy *p;
    struct nr_arena *arena;
    struct policy_problem *problems; /* lent */
    size_t room, count;              /* count: of all, also of those that had no room */
    struct policy_problem first;
    char path[sizeof(((struct policy_problem *)0)->path)];
    size_t path_n;
    bool is_short; /* the document was in the short form: paths are those of it */
    bool no_memory;
    struct condition conditions[POLICY_CONDITIONS_MAX];
    unsigned condition_count;
    bool too_many_conditions, free_op;
};

/* Goes to a member, or to an item; what it returns brings the reader back. */
size_t path_member(struct reader *r, const char *name);
size_t path_item(struct reader *r, size_t index);
void path_back(struct reader *r, size_t to);

/* A problem of the value where the reader is. value (lent): what stands there; NULL: nothing. nearest (lent): NULL: nothing is near. */
void problem(struct reader *r, const json_t *value, const char *nearest, const char *why, ...)
    __attribute__((format(printf, 4, 5)));
/* The same one member deeper. */
void problem_at(struct reader *r, const char *member, const json_t *value, const char *nearest,
                const char *why, ...) __attribute__((format(printf, 5, 6)));

enum field_kind {
    FIELD_NAME,     /* const char *: letters, digits, "._-" */
    FIELD_TEXT,     /* const char *: any text of at most `max` bytes */
    FIELD_DURATION, /* int64_t in ms; min and max likewise */
    FIELD_COUNT,    /* int64_t; -1: not given */
    FIELD_NUMBER,   /* double; < 0: not given */
    FIELD_BOOL,
    FIELD_WORD, /* an enum; `words` */
    FIELD_PART  /* `read` and `write` */
};

/* A member of an object that fills a member of a struct. */
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    double min, max;
    const char *const *words;
    void (*read)(struct reader *r, json_t *value, void *at);
    json_t *(*write)(const struct policy *p, const void *at); /* made; NULL: it is left out */
};

/* Reads the members of an object into `base`; what is no member is a problem. Bit i of what it returns: fields[i] was given. */
uint32_t object_read(struct reader *r, json_t *object, const struct field *fields, void *base);
/* A value by its row; the reader is at it. */
void field_read(struct reader *r, json_t *value, const struct field *f, void *base);
/* An object (made) of the members whose bit is set in `which`. */
json_t *object_write(const struct policy *p, const struct field *fields, const void *base,
                     uint32_t which);
/* A text without half a character at its end and without a NUL; NULL: it was a problem. Lives with the policy. */
const char *text_read(struct reader *r, const json_t *value, size_t max_bytes);
bool name_fits_here(struct nr_str name);
/* Memory that lives with the policy, zeroed; NULL: there is none, and the reading will say so. */
void *reader_memory(struct reader *r, size_t bytes);

/* The parts of a document, each by its file: `at` is the struct policy. */
void target_read(struct reader *r, json_t *value, void *at);
json_t *target_write(const struct policy *p, const void *at);
void bounds_read(struct reader *r, json_t *value, void *at);
json_t *bounds_write(const struct policy *p, const void *at);
void rules_read(struct reader *r, json_t *value, void *at);
json_t *rules_write(const struct policy *p, const void *at);
void schedules_read(struct reader *r, json_t *value, void *at);
json_t *schedules_write(const struct policy *p, const void *at);
void predict_read(struct reader *r, json_t *value, void *at);
json_t *predict_write(const struct policy *p, const void *at);
void limits_read(struct reader *r, json_t *value, void *at);
json_t *limits_write(const struct policy *p, const void *at);
void missing_read(struct reader *r, json_t *value, void *at);
json_t *missing_write(const struct policy *p, const void *at);
/* Step limits as they are when nobody gave any. */
void limits_default(struct policy *p);

/* What a rule waits for; where it is in r->conditions. free_op: the first metric in it need not be compared with anything. */
unsigned condition_read(struct reader *r, json_t *value, bool free_op);
json_t *condition_write(const struct policy *p, const struct condition *c);
/* The first metric in a condition. */
const struct condition *condition_first(const struct condition *all, unsigned at);
/* Members of a condition: a metric's name into its struct metric_ref, and then its labels. */
void metric_read(struct reader *r, json_t *value, void *at);
void labels_read(struct reader *r, json_t *value, void *at);
json_t *labels_write(const struct metric_ref *m);
/* What its values can be, so aggregated: a percentage is no share, and nothing of ours is below 0. */
void metric_range(const struct metric_ref *m, enum aggregate a, double *ret_low, double *ret_high);
/* Once both were read: has the metric what it needs? */
void metric_judge(struct reader *r, const struct metric_ref *m, const json_t *labels);

/* Is it the short form? */
bool short_form(const json_t *document);
/* The long document (made) that a short one stands for. */
json_t *short_expand(const json_t *document);
/* The path in the short form of one in the long form. */
const char *short_path(const char *path);
extern const char *const short_words[];

#endif
