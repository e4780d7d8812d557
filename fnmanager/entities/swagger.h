/* APIs as documents: the Swagger 2.0 object that clients send, extend and get back, and the operations that are served out of it. Pure but for
 * memory; any thread.
 *
 * A stored document names no host: the addresses in it, and how its operations are carried out ("x-ibm-configuration": "assembly"), are made for
 * every answer. Operations are struct api_route; their base_path is the document's.
 */
#ifndef NR_FNMANAGER_SWAGGER_H
#define NR_FNMANAGER_SWAGGER_H

#include "common/base/buf.h"
#include "common/base/json.h"
#include "ports/trigger.h"

#define API_PATH_MAX_BYTES 1024
#define API_OPERATIONS_MAX 2000 /* of all APIs of an account */
#define API_SECRET_MAX_BYTES 1024
#define API_HEADER_SECRET "message.headers.X-Require-Whisk-Auth"

/* The operations of one API, or of several. */
struct api_routes {
    struct api_route *list;
    size_t n;
};
void api_routes_fini(struct api_routes *r);
/* One more (its texts are given, also on failure). NR_ENOMEM. */
int api_routes_add(struct api_routes *r, struct api_route *route);
/* Those of this path and of this method (n == 0: of any) go; how many they were. */
size_t api_routes_remove(struct api_routes *r, struct nr_str path, struct nr_str method);
/* Frees the texts, not r itself. */
void api_route_fini(struct api_route *r);

/* 0, or NR_EINVAL with a sentence: a path begins with a slash, has no empty word, and a word in braces is a whole one; a base path has none. */
int swagger_path_check(struct nr_str path, bool is_base, struct nr_err *err);
/* The upper-case method (lent by the program) of a word in either case; NULL: it is none. */
const char *swagger_method(struct nr_str word);
/* The extension (lent by the program) of a web action's address; NULL: it is none. */
const char *swagger_extension(struct nr_str word);

/* A document without operations (made). */
json_t *swagger_make(const char *base_path, const char *title);
/* Puts an operation into a document, in the place of the one that is there. `parameters` (lent; NULL: none given) describes the words in braces.
 * NR_EINVAL with the sentence of the API. */
int swagger_put(json_t *doc, const struct api_route *r, json_t *parameters, struct nr_err *err);
/* Takes the operations out of a document (`method` n == 0: all of the path). NR_ENOENT with a sentence. */
int swagger_remove(json_t *doc, struct nr_str path, struct nr_str method, struct nr_err *err);
bool swagger_is_empty(const json_t *doc);
/* A client's whole document: judged, brought into the form that is stored, and its operations (made) in *ret, "_" being `account`. NR_EINVAL with
 * a sentence that names the operation. */
int swagger_read(json_t *doc, const char *account, struct api_routes *ret, struct nr_err *err);
/* The ids of a document's operations, but for `but`'s (lent, may be NULL), as an object (made); NULL without memory. *ret_twice (lent by the
 * document): one that several have; NULL: each is there once. */
json_t *swagger_ids(const json_t *doc, const json_t *but, const char **ret_twice);
/* An id (made) that is not among `ids`, where it is put: "getClubId" of GET /club/{id}. NULL without memory. */
char *swagger_operation_id(json_t *ids, const char *path, const char *method);
/* {"namespace","package","action"} (made). */
json_t *swagger_target(const struct function_target *t);
/* What is wrong with an operation whose path has words in braces; 0. */
int swagger_parameters_check(const json_t *path_item, const json_t *operation, const char *path,
                             const char *extension, struct nr_err *err);

/* What stands in answers about one API; lent. */
struct swagger_answer {
    const char *account, *base_path;
    struct nr_str host; /* "http://host:port" */
    json_t *doc;        /* changed by it */
    const struct api_routes *routes;
};
/* Adds {"namespace","gwApiUrl","gwApiActivated","tenantId","apidoc"} to out (lent). NR_ENOMEM. */
int swagger_write(const struct swagger_answer *a, struct nr_buf *out);

#endif
