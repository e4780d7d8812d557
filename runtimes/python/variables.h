/* The variables __OW_* of the running call, in os.environ. Main thread of the launcher. */
#ifndef NARAE_PYTHON_VARIABLES_H
#define NARAE_PYTHON_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct _object PyObject; /* Python's own, said again because headers stand alone */

#define VARIABLES_MAX 32
#define VARIABLE_NAME_MAX_BYTES 64

/* One that calls bring: "activation_id" is __OW_ACTIVATION_ID. */
struct variable {
    char key[VARIABLE_NAME_MAX_BYTES];
    size_t key_length;
    PyObject *name; /* bytes */
    PyObject *text; /* bytes: the JSON string it was set from, without its quotes; NULL: not set */
    unsigned turn;  /* call that last had it */
};

struct variables {
    PyObject *environment; /* dict of bytes behind os.environ */
    PyObject *decode;      /* (text, at) -> (value, end) of JSON's own scanner */
    PyObject *zero;
    struct variable all[VARIABLES_MAX];
    unsigned count;
    unsigned turn;
};

/* (value, end) of the JSON text from `at` on, blanks before it skipped. made; NULL: raised. */
PyObject *variables_scan(const struct variables *vs, const char *at, const char *end);
/* Takes the text of a call before its value, `{"key":"text",...,"value":`, all siblings being strings. false: raised. */
bool variables_set(struct variables *vs, const char *at, const char *end);
/* Audit hook (`variables` is the struct): when the function is about to make a child, the C library's environment, which
 * children get, follows. Returns 0. */
int variables_audit(const char *event, PyObject *arguments, void *variables);

#endif
