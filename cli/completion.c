/* narae completion SHELL: a short script that asks `narae complete` at every TAB. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static const char bash_script[] =
    "# narae for bash: source <(narae completion bash), or keep it in /etc/bash_completion.d/narae\n"
    "_narae() {\n"
    "    local line words=() word=${COMP_WORDS[COMP_CWORD]}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        if [ \"$line\" = :files ]; then\n"
    "            compopt -o filenames 2> /dev/null\n"
    "            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$word\")\n"
    "            return\n"
    "        fi\n"
    "        words+=(\"${line%%$'\\t'*}\")\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2> /dev/null)\n"
    "    COMPREPLY=(\"${words[@]}\")\n"
    "}\n"
    "complete -F _narae narae\n";

static const char zsh_script[] =
    "#compdef narae\n"
    "# narae for zsh: source <(narae completion zsh), or keep it as _narae in a folder of $fpath\n"
    "_narae() {\n"
    "    local line word\n"
    "    local -a candidates\n"
    "    for line in \"${(@f)$(\"${words[1]}\" complete \"${(@)words[2,CURRENT]}\" 2> /dev/null)}\"; do\n"
    "        [[ -z $line ]] && continue\n"
    "        if [[ $line == :files ]]; then\n"
    "            _files\n"
    "            return\n"
    "        fi\n"
    "        word=${line%%$'\\t'*}\n"
    "        candidates+=(\"${word//:/\\\\:}:${line#*$'\\t'}\")\n"
    "    done\n"
    "    _describe -t narae narae candidates\n"
    "}\n"
    "if [[ $funcstack[1] == _narae ]]; then\n"
    "    _narae \"$@\"\n"
    "else\n"
    "    compdef _narae narae\n"
    "fi\n";

static const char fish_script[] =
    "# narae for fish: narae completion fish | source, or keep it as\n"
    "# ~/.config/fish/completions/narae.fish\n"
    "function __narae_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l last (commandline -ct)\n"
    "    for line in ($words[1] complete $words[2..-1] \"$last\" 2> /dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path \"$last\"\n"
    "            return\n"
    "        end\n"
    "        printf '%s\\n' $line\n"
    "    end\n"
    "end\n"
    "complete -c narae -f -a '(__narae_complete)'\n";

int verb_completion(struct cli *c)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

    for (size_t i = 0; i < nr_countof(scripts); i++)
        if (strcmp(scripts[i].shell, c->argv[0]) == 0) {
            (void)fputs(scripts[i].script, stdout);
            return CLI_DONE;
        }
    return cli_fail(c, "narae completion %s: bash, zsh and fish have one", c->argv[0]);
}
