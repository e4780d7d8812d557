/* The verbs' functions: each is one or two calls of the API and what a person wants to read of the answer. Returns the exit status.
 */
#ifndef NR_CLI_VERBS_H
#define NR_CLI_VERBS_H

struct cli;

/* deploy.c, functions.c */
int verb_deploy(struct cli *c);
int verb_functions(struct cli *c);
int verb_get(struct cli *c);
int verb_delete(struct cli *c);
/* invoke.c, activations.c, logs.c */
int verb_invoke(struct cli *c);
int verb_activations(struct cli *c);
int verb_activation(struct cli *c);
int verb_result(struct cli *c);
int verb_logs(struct cli *c);
/* poll.c */
int verb_poll(struct cli *c);
/* versions.c, aliases.c, diff.c */
int verb_versions(struct cli *c);
int verb_publish(struct cli *c);
int verb_history(struct cli *c);
int verb_diff(struct cli *c);
int verb_alias_list(struct cli *c);
int verb_alias_set(struct cli *c);
int verb_alias_delete(struct cli *c);
int verb_rollback(struct cli *c);
/* lifecycle.c */
int verb_block(struct cli *c);
int verb_unblock(struct cli *c);
int verb_retire(struct cli *c);
int verb_purge(struct cli *c);
int verb_update_begin(struct cli *c);
int verb_update_commit(struct cli *c);
int verb_update_abort(struct cli *c);
/* preenv.c */
int verb_preenv(struct cli *c);
int verb_preenv_list(struct cli *c);
int verb_preenv_show(struct cli *c);
int verb_preenv_cancel(struct cli *c);
int verb_preenv_apply(struct cli *c);
/* packages.c, triggers.c, rules.c, apis.c */
int verb_package_list(struct cli *c);
int verb_package_get(struct cli *c);
int verb_package_create(struct cli *c);
int verb_package_update(struct cli *c);
int verb_package_bind(struct cli *c);
int verb_package_delete(struct cli *c);
int verb_trigger_list(struct cli *c);
int verb_trigger_get(struct cli *c);
int verb_trigger_create(struct cli *c);
int verb_trigger_update(struct cli *c);
int verb_trigger_fire(struct cli *c);
int verb_trigger_delete(struct cli *c);
int verb_rule_list(struct cli *c);
int verb_rule_get(struct cli *c);
int verb_rule_create(struct cli *c);
int verb_rule_update(struct cli *c);
int verb_rule_enable(struct cli *c);
int verb_rule_disable(struct cli *c);
int verb_rule_delete(struct cli *c);
int verb_api_list(struct cli *c);
int verb_api_get(struct cli *c);
int verb_api_create(struct cli *c);
int verb_api_delete(struct cli *c);
/* scale.c, scale_why.c */
int verb_scale_apply(struct cli *c);
int verb_scale_check(struct cli *c);
int verb_scale_list(struct cli *c);
int verb_scale_show(struct cli *c);
int verb_scale_versions(struct cli *c);
int verb_scale_mode(struct cli *c);
int verb_scale_delete(struct cli *c);
int verb_scale_explain(struct cli *c);
int verb_scale_dry_run(struct cli *c);
int verb_scale_replay(struct cli *c);
int verb_scale_import(struct cli *c);
int verb_scale_forecasts(struct cli *c);
int verb_scale_channels(struct cli *c);
int verb_scale_status(struct cli *c);
/* accounts.c, keys.c, buckets.c */
int verb_account_list(struct cli *c);
int verb_account_create(struct cli *c);
int verb_account_show(struct cli *c);
int verb_account_suspend(struct cli *c);
int verb_account_resume(struct cli *c);
int verb_account_delete(struct cli *c);
int verb_account_export(struct cli *c);
int verb_account_import(struct cli *c);
int verb_account_quota(struct cli *c);
int verb_account_limits(struct cli *c);
int verb_account_retention(struct cli *c);
int verb_key_list(struct cli *c);
int verb_key_create(struct cli *c);
int verb_key_rotate(struct cli *c);
int verb_key_revoke(struct cli *c);
int verb_bucket_usage(struct cli *c);
int verb_bucket_verify(struct cli *c);
/* images.c */
int verb_image_list(struct cli *c);
int verb_image_pull(struct cli *c);
int verb_image_prune(struct cli *c);
int verb_registry_list(struct cli *c);
int verb_registry_set(struct cli *c);
int verb_registry_delete(struct cli *c);
/* invokers.c, doctor.c, top.c */
int verb_invokers(struct cli *c);
int verb_invokers_add(struct cli *c); /* invokers_manage.c, this and the next ones */
int verb_invokers_remove(struct cli *c);
int verb_invokers_cordon(struct cli *c);
int verb_invokers_uncordon(struct cli *c);
int verb_invokers_drain(struct cli *c);
int verb_doctor(struct cli *c);
int verb_status(struct cli *c);
int verb_top(struct cli *c);
/* backup/make.c, backup/restore.c */
int verb_backup(struct cli *c);
int verb_restore(struct cli *c);
/* completion.c, man.c, help.c */
int verb_completion(struct cli *c);
int verb_man(struct cli *c);
int verb_help(struct cli *c);

#endif
