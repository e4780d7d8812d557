/* Each package and function of the catalog is put as a client would put it, in the name of its account, when the one that is stored has
 * another mark: so it has a version like every other, which grows with an upgrade of the platform, and its old containers end. A second
 * start finds the marks and writes nothing.
 */
#include "fnmanager/catalog.h"

#include "fnmanager/functions/action.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_packages.h"
#include "fnmanager/entities/packages_api.h"

#define MARK "narae.catalog"

/* Does the stored one stay? It does when it is what we would put, and when it is not ours. */
static bool stays(const char *annotations, const struct catalog_item *item)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(annotations), NULL);
    const char *mark = json_string_value(entity_value(all, MARK));

    return mark == NULL || strcmp(mark, item->mark) == 0;
}

/* 1: it is to be put; 0: what is there stays. */
static int look(struct fnmanager *m, const struct catalog_item *item)
{
    const struct fn_key key = {NR_STR(ACCOUNT_SYSTEM), nr_str_of(item->package),
                               nr_str_of(item->name)};
    struct package_row package = {0};
    struct fn_row row = {0};
    bool stay;
    int r;

    if (item->name[0] == '\0') {
        r = metadata_package_load(m->db, key.account, key.package, &package);
        stay = r == 0 && stays(package.annotations, item);
        package_row_fini(&package);
    } else {
        r = metadata_load(m->db, key, &row);
        stay = r == 0 && (row.state != FN_LATEST || stays(row.annotations, item));
        fn_row_fini(&row);
    }
    return r == NR_ENOENT ? 1 : r < 0 ? r : !stay;
}

static int put(struct fnmanager *m, struct account *account, const struct catalog_item *item,
               struct nr_err *err)
{
    bool package = item->name[0] == '\0';
    struct fn_call call = {.op = package ? FN_PACKAGE_PUT : FN_ACTION_PUT,
                           .account = account,
                           .package = nr_str_of(item->package),
                           .name = nr_str_of(item->name),
                           .body = nr_str_of(item->body),
                           .overwrite = true};
    uint64_t old_revision;
    int r = package ? package_put(m, &call, &old_revision) : action_put(m, &call, &old_revision);

    nr_buf_fini(&call.reply);
    return r == 0 ? 0 : nr_err_set(err, r, "%s", call.err.text);
}

void catalog_install(struct fnmanager *m)
{
    struct account *account = NULL;
    struct nr_err err = {0};

    if (fnmanager_account(m, NR_STR(ACCOUNT_SYSTEM), &account, &err) < 0) {
        nr_log(m->config.log, NR_LOG_WARN, "fnmanager", "there is no catalog: account %s: %s",
               ACCOUNT_SYSTEM, err.text[0] ? err.text : nr_err_text(err.code));
        return;
    }
    for (const struct catalog_item *item = catalog_items; item->package != NULL; item++) {
        int r = look(m, item);

        err = (struct nr_err){0};
        if (r > 0)
            r = put(m, account, item, &err);
        if (r < 0)
            nr_log(m->config.log, NR_LOG_WARN, "fnmanager", "/%s/%s/%s cannot be made: %s",
                   ACCOUNT_SYSTEM, item->package, item->name,
                   err.text[0] ? err.text : nr_err_text(r));
    }
    account_unref(account);
}
