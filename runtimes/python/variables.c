/* The siblings of a call's value stand in os.environ only. The C library's environment follows when a child is about to be
 * made: setenv() keeps every value it was ever given, so one variable a call would fill the memory.
 *
 * Most variables are those of the call before, at the same place in the text; what has not changed is not touched.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "variables.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "__OW_"

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* The closing quote of the JSON string that begins at `at`, or NULL. */
static const char *string_end(const char *at, const char *end, bool *ret_plain)
{
    *ret_plain = true;
    if (at >= end || *at != '"')
        return NULL;
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            *ret_plain = false;
            at++;
        }
    }
    return at < end ? at : NULL;
}

/* (value, end) of the JSON text at `at`. */
PyObject *variables_scan(const struct variables *vs, const char *at, const char *end)
{
    at = skip_blanks(at, end);
    PyObject *text = PyUnicode_DecodeUTF8(at, end - at, "surrogatepass");
    if (!text)
        return NULL;
    PyObject *arguments[] = {text, vs->zero};
    PyObject *pair = PyObject_Vectorcall(vs->decode, arguments, 2, NULL);
    Py_DECREF(text);
    return pair;
}

/* The bytes of a variable whose JSON string has escapes. made; NULL: raised. */
static PyObject *decoded(const struct variables *vs, const char *open_quote,
                         const char *close_quote)
{
    PyObject *pair = variables_scan(vs, open_quote, close_quote + 1);
    PyObject *text = pair ? PyTuple_GetItem(pair, 0) : NULL;
    PyObject *bytes = text ? PyUnicode_EncodeFSDefault(text) : NULL;
    Py_XDECREF(pair);
    return bytes;
}

/* The variable of this key, which most often is at the place it had in the call before; NULL: a key too many. */
static struct variable *find_variable(struct variables *vs, unsigned place, const char *key,
                                      size_t length)
{
    struct variable *v = &vs->all[place];
    if (place < vs->count && v->key_length == length && memcmp(v->key, key, length) == 0)
        return v;
    for (v = vs->all; v < vs->all + vs->count; v++) {
        if (v->key_length == length && memcmp(v->key, key, length) == 0)
            return v;
    }
    char name[sizeof PREFIX + VARIABLE_NAME_MAX_BYTES] = PREFIX;
    if (vs->count == VARIABLES_MAX || length > VARIABLE_NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < length; i++)
        name[sizeof PREFIX - 1 + i] = (char)(key[i] >= 'a' && key[i] <= 'z' ? key[i] - 32 : key[i]);
    *v = (struct variable){.key_length = length};
    memcpy(v->key, key, length);
    v->name = PyBytes_FromStringAndSize(name, (Py_ssize_t)(sizeof PREFIX - 1 + length));
    if (!v->name)
        return NULL;
    vs->count++;
    return v;
}

/* Sets it when this call's text differs from the last one's. false: raised. */
static bool set_variable(struct variables *vs, struct variable *v, const char *open_quote,
                         const char *close_quote, bool plain)
{
    Py_ssize_t length = close_quote - open_quote - 1;
    v->turn = vs->turn;
    if (v->text && PyBytes_GET_SIZE(v->text) == length &&
        memcmp(PyBytes_AS_STRING(v->text), open_quote + 1, (size_t)length) == 0)
        return true;
    PyObject *text = PyBytes_FromStringAndSize(open_quote + 1, length);
    PyObject *bytes = plain ? Py_XNewRef(text) : decoded(vs, open_quote, close_quote);
    bool good = text && bytes && PyDict_SetItem(vs->environment, v->name, bytes) == 0;
    Py_XDECREF(bytes);
    Py_XSETREF(v->text, text);
    return good;
}

/* A variable that this call does not bring. */
static void unset_variable(struct variables *vs, struct variable *v)
{
    Py_CLEAR(v->text);
    if (PyDict_DelItem(vs->environment, v->name) < 0)
        PyErr_Clear(); /* the function has removed it itself */
    unsetenv(PyBytes_AS_STRING(v->name));
}

/* Takes `{"key":"text",...,"value":`, all siblings being strings. false: raised. */
bool variables_set(struct variables *vs, const char *at, const char *end)
{
    vs->turn++;
    at = skip_blanks(at, end);
    for (unsigned place = 0; at < end; place++) {
        bool plain_key, plain;
        const char *key = skip_blanks(at + 1, end); /* behind the brace or comma */
        const char *key_end = string_end(key, end, &plain_key);
        const char *value = key_end ? skip_blanks(key_end + 1, end) : end;
        value = value < end ? skip_blanks(value + 1, end) : end; /* behind the colon */
        if (value >= end)
            break; /* this is "value" itself */
        const char *value_end = string_end(value, end, &plain);
        if (!value_end) {
            PyErr_SetString(PyExc_ValueError, "a call was not understood");
            return false;
        }
        struct variable *v =
            plain_key ? find_variable(vs, place, key + 1, (size_t)(key_end - key - 1)) : NULL;
        if (v && !set_variable(vs, v, value, value_end, plain))
            return false;
        at = skip_blanks(value_end + 1, end);
    }
    for (struct variable *v = vs->all; v < vs->all + vs->count; v++) {
        if (v->text && v->turn != vs->turn)
            unset_variable(vs, v);
    }
    return true;
}

/* The function is about to make a child, which gets the C library's environment. setenv() keeps every value it was
 * ever given, so one variable a call would fill the memory; this is rare. */
int variables_audit(const char *event, PyObject *arguments, void *variables)
{
    static const char *const makes_a_child[] = {"os.exec",         "os.fork",  "os.forkpty",
                                                "os.posix_spawn",  "os.spawn", "os.system",
                                                "subprocess.Popen"};
    struct variables *vs = variables;
    PyObject *name, *value;
    Py_ssize_t at = 0;
    size_t i = 0;
    (void)arguments;
    if (event[0] != 'o' && event[0] != 's')
        return 0;
    while (i < sizeof makes_a_child / sizeof makes_a_child[0] &&
           strcmp(event, makes_a_child[i]) != 0)
        i++;
    if (i == sizeof makes_a_child / sizeof makes_a_child[0])
        return 0;
    while (PyDict_Next(vs->environment, &at, &name, &value)) {
        if (PyBytes_Check(name) && PyBytes_Check(value) &&
            strncmp(PyBytes_AS_STRING(name), PREFIX, sizeof PREFIX - 1) == 0)
            setenv(PyBytes_AS_STRING(name), PyBytes_AS_STRING(value), 1);
    }
    return 0;
}
