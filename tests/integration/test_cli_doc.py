"""docs/cli.md is what narae really prints: each of its transcripts is run again and compared.

Figures that change from run to run are masked: numbers, ids, times, bars, the widths that follow from them.

    NARAE_WRITE=1 pytest tests/integration/test_cli_doc.py     writes the document anew
"""
import os
import re
import shlex

from conftest import BUILD, ROOT, SLOW
from terminal import Terminal, plain

DOCUMENT = ROOT / "docs" / "cli.md"
COLUMNS = 100

HEAD = """# The command line

`narae` speaks HTTP to a platform; `backup` and `restore` alone work on a data folder of this host (`docs/operations.md`). Every transcript here comes from a real run on a terminal of {columns} columns;
`tests/integration/test_cli_doc.py` runs them again and compares.

| | |
|---|---|
| where the platform is | the first of `--apihost`, `NARAE_APIHOST`, `WHISK_APIHOST`, `__OW_API_HOST`, `APIHOST=` in `~/.wskprops`; else `http://127.0.0.1:3233` |
| who calls | the first of `--auth`, `NARAE_AUTH`, `WHISK_AUTH`, `__OW_API_KEY`, `AUTH=` in `~/.wskprops`; a key that is refused is told with the place it came from |
| form of the output | `-o table` (the rule), `-o wide` with more columns, `-o json` as the platform answered |
| tables | fit the terminal: columns are cut with `…`, then left out from the right; in a pipe they have their full width |
| colours | on a terminal only, not with `NO_COLOR` or `TERM=dumb` |
| what cannot be undone | is asked for on a terminal; in a pipe it is refused without `--yes` |
| errors | a sentence on the error channel, with the status of HTTP and what to do next below it; with `-o json` one object ([below](#errors-in-scripts)) |
| exit status | 0 done; 1 not done: no answer, a mistake in the command, refused, not confirmed; 2 the function itself failed |
| words of `wsk` | `action create`, `action update` without a file, `action invoke -r`, `activation poll` and the others work as in `wsk`, and do not ask |
| completion | `source <(narae completion bash)`; zsh and fish likewise; names of functions, aliases and accounts are asked of the platform |
| manual | `narae man`, or `man narae` once it is installed |

## Errors in scripts

With `-o json` whatever fails is one object, on one line, the last of the error channel. `code` is one of the table, `error` the sentence, `next` what to do (lines);
`verb` is there when the command has one, `http_status` and `request_id` (which naraed's log has as `transaction`) when the platform answered. Some have more: `problems` of a scaling policy, `refused` of an import,
`done` where a deployment was carried out and its publication or alias was not, `activation_id` of a call. The output then is empty, but for the result of a function that failed, and for what was done of several things.
Lines before it are `{{"note": ...}}`: what is to be known beside it, also of a success. Several files (`scale apply A B`) and `--watch` have an object for each failure.

| code | exit status | HTTP | is |
|---|---|---|---|
| `usage` | 1 | - | a mistake in the command: verb, option, word or value |
| `file` | 1 | - | a file or folder could not be read, written or taken |
| `no_memory` | 1 | - | this program has no memory left |
| `not_confirmed` | 1 | - | asked, and not confirmed; or nobody could be asked |
| `no_answer` | 1 | - | nobody answers at the address, or the connection broke |
| `bad_request` | 1 | 400 | the platform does not take what was sent |
| `unauthorized` | 1 | 401 | no key, or one that is not known |
| `forbidden` | 1 | 403 | the key may not do it |
| `not_found` | 1 | 404 | there is nothing of this name |
| `conflict` | 1 | 409 | it is there already, or its state does not allow it |
| `gone` | 1 | 410 | it was retired for good |
| `too_large` | 1 | 413 | it is larger than allowed |
| `blocked` | 1 | 423 | calls are refused until it is unblocked |
| `limit` | 1 | 429 | a limit of the account, of the address or of a registry is reached |
| `unavailable` | 1 | 503 | starting, stopping or overloaded: try again |
| `full` | 1 | 507 | the account's bucket has no room |
| `platform` | 1 | - | the platform failed, or said what is not understood |
| `partly` | 1 | - | some of it was done; the rest is named |
| `function_failed` | 2 | - | the function itself failed |

"""

FILES = {
    "hello.py": "def main(args):\n    name = args.get('name', 'you')\n    print('greeting', name)\n"
                "    return {'greeting': 'Hello, ' + name + '!'}\n",
    "loud.py": "def main(args):\n    return {'greeting': ('Hello, ' + args.get('name', 'you') + '!').upper()}\n",
    "fails.py": "def main(args):\n    raise ValueError('no such sensor')\n",
    "sums.py": "def main(args):\n    numbers = list(range(args.get('n', 1000)))\n    return {'sum': sum(numbers)}\n",
    "burst.json": '{"account": "guest", "function": "hello", "min": 1, "max": 20, "target_inflight": 0.7}\n',
    "wrong.json": '{"account": "guest", "function": "hello", "min": 1, "max": 20, "target_infligt": 0.7}\n',
    "day.json": '{"n": 1000000}\n',
    "peak.json": '{"n": 3000000}\n',
}

# (title, what is said before, commands). A command that ends with `# y` or `# n` is answered so.
CHAPTERS = [
    ("A first function", "The kind is guessed from the ending, or from what a folder holds.",
     ["narae status", "narae deploy hello.py --memory 128", "narae invoke hello -p name Ada",
      "narae invoke hello -p name Bob --logs", "narae functions", "narae activations hello"]),
    ("When it fails", "A function that fails is status 2; its logs are one step away.",
     ["narae deploy fails.py", "narae invoke fails", "narae logs fails"]),
    ("Versions and aliases",
     "A version freezes code and settings. An alias points to one version, or splits calls between several by percent; "
     "the split is decided by the activation's id.",
     ["narae publish hello --note 'first customers'", "narae deploy loud.py --name hello --publish --note louder",
      "narae versions hello", "narae diff hello 1 2", "narae alias set hello prod=1", "narae alias set hello prod=1:90,2:10",
      "narae alias list hello", "narae invoke hello --version 2 -p name Ada", "narae rollback hello prod",
      "narae invoke hello --alias prod -p name Ada"]),
    ("The life of a function",
     "Every move is recorded with who, when and why. A block can be undone; a retirement cannot, so it is asked for.",
     ["narae block hello --version 2 --reason 'too loud'", "narae invoke hello --version 2", "narae unblock hello --version 2",
      "narae retire hello --version 2 --reason 'nobody liked it' # y", "narae invoke hello --version 2",
      "narae purge hello --version 2 # y", "narae history hello"]),
    ("An update that must not be seen half done",
     "A plain `deploy` holds nobody for longer than a commit. A window is for changes of several parts: calls wait meanwhile, or "
     "run the old code.",
     ["narae update begin hello --while-updating old --deadline 300", "narae functions", "narae update commit hello hello.py"]),
    ("Memory by trial",
     "PreEnv runs the function with test payloads and finds the smallest memory, in steps of 64 MB, that costs no speed.",
     ["narae deploy sums.py --memory 512", "narae preenv run sums --payload day.json:9 --payload peak.json --tolerance 30 --repeats 3",
      "narae preenv list sums"]),
    ("Accounts and keys", "With the administrator's key.",
     ["narae account create farm --profile iot", "narae account list", "narae account limits farm invocationsPerMinute=600",
      "narae account quota farm bytes=100000000", "narae key create farm --scopes invoke --expires 30d --note 'milking robot'",
      "narae key list farm", "narae bucket usage", "narae bucket verify guest", "narae account suspend farm --reason unpaid",
      "narae account delete farm # y"]),
    ("Packages, triggers, rules, APIs", "The words are those of `wsk`. What is in use says by whom before it goes.",
     ["narae package create weather -p unit C", "narae trigger create reading", "narae rule create on-reading reading hello",
      "narae rule list", "narae deploy hello.py --web true", "narae trigger delete reading # n", "narae api create /club /books get hello", "narae api list",
      "narae delete hello # n"]),
    ("Scaling", "With the administrator's key; an account may list, show and explain the policies of its own functions. `docs/scaling.md` has the language, "
     "`examples/scaling/` has policies to begin with.",
     ["narae scale check wrong.json", "narae scale apply burst.json", "narae scale list", "narae scale dry-run burst",
      "narae scale mode burst off", "narae scale delete burst # y"]),
    ("For hands used to wsk", "What `wsk` calls `action` and `activation` is there under these words too.",
     ["narae action create greet hello --copy", "narae action update greet -p name Ada -a about greetings", "narae action invoke greet -r",
      "narae action get greet --url", "narae action get greet --save-as old.py", "narae action update greet --del-annotation about",
      "narae action delete greet"]),
    ("What the platform does", "`narae top` draws again and again on a terminal; `--once` prints one picture.",
     ["narae top --once", "narae invokers"]),
    ("Mistakes", "An error says what to do next.",
     ["narae deplyo hello.py", "narae alias set hello prod=7", "narae invoke helo", "narae deploy hello.py --memroy 128",
      "narae invoke helo -o json"]),
    ("Every verb", "", ["narae --help", "narae alias set --help"]),
]
ADMIN = {"Accounts and keys", "Scaling"}
# What is tried or runs differs from run to run, and with it which columns fit: only that the command is there is compared.
FREE = ("narae preenv", "narae top", "narae invokers", "narae activations", "narae scale list", "narae scale dry-run")


def masked(text):
    """What must be the same in every run."""
    for pattern, by in ((r"http://127\.0\.0\.1:\d+", "URL"), (r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?", "TIME"),
                        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}(:\S+)?", "UUID"), (r"\b[0-9a-f]{32}\b", "ID"),
                        (r"\b(?=\w*\d)[0-9a-f]{8,31}…?", "ID"), (r"\b(cold|stem|warm)\b", "START"), (r"\d+(\.\d+)?", "0"),
                        (r"[ ]+", " "), (r" ?\n", "\n")):
        text = re.sub(pattern, by, text)
    return text


def transcripts(document):
    """[(command, output)] of a document."""
    found = []
    for block in re.findall(r"(?s)```console\n(.*?)```", document):
        for part in re.split(r"(?m)^\$ ", block)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def typed(platform, folder, command, auth):
    """The screen after a command."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "1",
           "NARAE_APIHOST": platform.url, "NARAE_AUTH": auth}
    words, _, answer = command.partition(" # ")
    words = shlex.split(words)
    with Terminal([BUILD / "narae", *words[1:]], COLUMNS, 50, cwd=folder, env=env) as t:
        if answer:
            t.until(r"\[y/N\] ", 60 * SLOW).type(answer + "\n")
        t.end(300 * SLOW)
        return re.sub(r"(?m)^.*\x1b\[K", "", t.text.replace("\r\n", "\n")).replace("\r", "")


def written(platform, folder):
    text = HEAD.format(columns=COLUMNS)
    for title, said, commands in CHAPTERS:
        auth = platform.admin_auth if title in ADMIN else platform.auth
        text += f"## {title}\n\n{said}\n\n```console\n" if said else f"## {title}\n\n```console\n"
        for command in commands:
            text += f"$ {command.partition(' # ')[0]}\n{plain(typed(platform, folder, command, auth))}"
        text += "```\n\n"
    return text.rstrip("\n") + "\n"


def test_the_document_is_what_narae_prints(start_platform, tmp_path):
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    text = written(start_platform(), tmp_path)
    if os.environ.get("NARAE_WRITE") == "1":
        text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:3233", text)
        DOCUMENT.write_text(re.sub(r"([0-9a-f-]{36}):[\w-]{64}", r"\1:…64-characters…", text))
    said, now = transcripts(DOCUMENT.read_text()), transcripts(text)
    assert [command for command, _ in said] == [command for command, _ in now]
    for (command, expected), (_, got) in zip(said, now):
        if not command.startswith(FREE):
            assert masked(got) == masked(expected), command
