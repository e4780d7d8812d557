"""An invoker on another host, as its controller sees it on the wire: joining over a unix socket and over TLS with a pinned key, calls from RUN to DONE, code that comes once,
a link that breaks in the middle of a call, leaving; and what a tired person types."""
import hashlib
import ssl
import subprocess
import tempfile

import pytest

from conftest import BUILD, SLOW, within
from link import MORE, Controller, Invoker

HELLO = "def main(args):\n    print('said', args.get('n'))\n    return {'greeting': args['greeting'], 'n': args.get('n')}\n"
SLEEPS = "import time\ndef main(args):\n    time.sleep(args['s'])\n    return {'slept': args['s']}\n"


@pytest.fixture
def controller():
    c = Controller()
    yield c
    c.close()


@pytest.fixture
def invoker(controller):
    made = []

    def make(name, *options, url=None):
        made.append(Invoker(url or controller.url, name, *options))
        return made[-1]
    yield make
    for one in made:
        print(one.said()[-4000:])
        one.discard()


def test_calls_over_a_unix_socket(controller, invoker):
    """One story: it joins, runs, is warm, loses its link in the middle of a call and comes back with the answer, and leaves."""
    v = invoker("far-a", "--tags=board=pi")
    link = controller.accept()
    hello = link.welcome()
    assert hello["name"] == "far-a" and hello["tags"] == {"board": "pi"} and hello["cores"] >= 1 and "python:3" in hello["kinds"]
    image = next(i for i in hello["images"] if "/python:" in i)
    # the first call: its code is asked for, its container is made
    code = link.function(1, HELLO, image)
    link.run(1, 1, n=7)
    link.give_code(code)
    link.grant(1)
    result, meta, logs = link.outcome(1)
    assert result == {"greeting": "moin", "n": 7}
    assert meta["status"] == 0 and meta["start"] == 4 and meta["ran"] and meta["init_us"] > 0  # START_COLD
    assert "said 7" in logs
    [container] = v.containers()
    assert container["Labels"]["narae.invoker"] == "far-a"
    # the second one is warm, and its code is here
    link.run(2, 1, n=8)
    link.grant(2)
    result, meta, _ = link.outcome(2)
    assert result["n"] == 8 and meta["start"] in (1, 2) and not meta.get("init_us")
    # reports tell of the pool
    within(20, "a report tells of a free slot", lambda: any(p["revision"] == 1 and p["ready"] == 1 for r in link.reports[-1:] for p in r.get("pools", [])))
    # a refused claim gives the slot back
    link.run(3, 1)
    assert link.next("CLAIM").call == 3
    link.send("CLAIMED", 3, flags=1)
    link.run(4, 1, n=4)
    link.grant(4)
    assert link.outcome(4)[0]["n"] == 4
    # the link breaks in the middle of one; another has not started
    code = link.function(2, SLEEPS, image, instances=1)
    link.run(5, 2, s=1)
    link.give_code(code)
    link.grant(5)
    link.run(6, 2, s=0)
    v.says("welcomes")
    link.close()
    link = controller.accept()
    again = link.welcome(wanted=[5])
    assert again["session"] == hello["session"]
    assert link.outcome(5)[0] == {"slept": 1}
    # it leaves: what runs may end
    link.function(2, SLEEPS, image, instances=1)
    link.run(7, 2, s=1)
    link.grant(7)
    v.process.terminate()
    assert link.next("LEAVING").flags == MORE
    link.run(8, 2, s=0)
    assert link.next("BOUNCE").call == 8
    assert link.outcome(7)[0] == {"slept": 1}
    assert link.next("LEAVING").flags == 0
    assert v.process.wait(timeout=90 * SLOW) == 0, v.said()
    assert v.containers() == []


def test_another_controller_and_a_drain(controller, invoker):
    """A controller that was started anew finds nothing of the one before; a drained invoker is empty, and takes calls again."""
    v = invoker("far-b")
    link = controller.accept()
    image = next(i for i in link.welcome()["images"] if "/python:" in i)
    code = link.function(1, SLEEPS, image)
    link.run(1, 1, s=600)
    link.give_code(code)
    link.grant(1)
    link.close()
    link = controller.accept()
    link.welcome(controller="two")
    within(60, "its container has gone", lambda: v.containers() == [])
    link.function(2, HELLO, image)
    link.run(2, 2)
    link.give_code(HELLO.encode())
    link.grant(2)
    assert link.outcome(2)[0]["greeting"] == "moin"
    link.send("DRAIN")
    assert link.next("LEAVING").flags == 0
    assert v.containers() == []
    link.run(3, 2)
    assert link.next("BOUNCE").call == 3
    link.send("CORDON")
    link.run(4, 2)
    link.grant(4)
    assert link.outcome(4)[0]["greeting"] == "moin"
    # an account leaves: its containers, its code
    link.send("FORGET_ACCOUNT", 9, {"account": "guest"})
    assert link.next("FORGOTTEN").call == 9
    assert v.containers() == []
    left = subprocess.run(["find", f"{v.folder}/data/code", "-type", "f"], capture_output=True, text=True, check=True).stdout
    within(20, "its code has gone", lambda: not left or not subprocess.run(["find", f"{v.folder}/data/code", "-type", "f"], capture_output=True,
                                                                           text=True, check=True).stdout)
    v.stop()


def test_what_waits_is_named(controller, invoker):
    """A call that waits because all slots are in use is named in each report, until it asks for its claim."""
    invoker("far-d")
    link = controller.accept()
    image = next(i for i in link.welcome()["images"] if "/python:" in i)
    within(20, "a report names nothing", lambda: link.named == [])
    code = link.function(1, SLEEPS, image, instances=1)
    link.run(1, 1, s=600)
    link.give_code(code)
    link.grant(1)
    link.run(2, 1, s=0)
    within(20, "the second one is named", lambda: link.named == [2])
    link.send("CUT", 1, {"err": -24, "why": "enough"})
    assert link.next("ANSWER").call == 1
    while (frame := link.frames.get(timeout=60 * SLOW)).name != "CLAIM":
        assert frame.call == 1 and frame.name in ("LOGS", "END"), frame.name
    link.send("DONE", 1)
    assert frame.call == 2
    within(20, "nothing waits any more", lambda: link.named == [])
    link.send("CLAIMED", 2)
    assert link.outcome(2)[0] == {"slept": 0}


@pytest.fixture
def certificate():
    """A context and the pin of its key."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = f"{folder}/c.pem", f"{folder}/k.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                        "-subj", "/CN=x", "-days", "2"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-pubkey"], check=True, capture_output=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        yield context, "sha256:" + hashlib.sha256(der).hexdigest()


def test_tls_with_a_pin(certificate, invoker, tmp_path):
    context, pin = certificate
    token = tmp_path / "token"
    token.write_text("sesame\n")
    token.chmod(0o600)
    c = Controller(context)
    try:
        wrong = invoker("far-c", "--controller-pin=sha256:" + "0" * 64, f"--invoker-token-file={token}", url=c.url)
        for _ in range(2):  # it dials again and again, and says nothing to who is not the one
            link = c.accept()
            assert link is None or link.frames.get(timeout=60 * SLOW) is None
        wrong.process.terminate()
        assert wrong.process.wait(timeout=60 * SLOW) == 0
        right = invoker("far-c", f"--controller-pin={pin}", f"--invoker-token-file={token}", url=c.url)
        hello = (c.accept() or c.accept()).welcome()
        assert hello["name"] == "far-c" and hello["token"] == "sesame"
        right.says("welcomes this invoker as far-c")
        assert "sesame" not in right.said()
        right.stop()
    finally:
        c.close()


@pytest.mark.parametrize("options, why", [
    (["--roles=invoker"], "--roles=invoker needs --controller=tls://HOST:PORT or unix:/PATH"),
    (["--controller=unix:/s"], "--controller is for --roles=invoker"),
    (["--tags=a=b"], "--tags is for --roles=invoker"),
    (["--roles=invoker", "--controller=10.0.0.1:4000"], "--controller"),
    (["--roles=invoker", "--controller=tls://127.0.0.1:1"], "needs --controller-pin"),
    (["--roles=invoker", "--controller=tls://127.0.0.1:1", "--controller-pin=sha256:" + "0" * 64], "needs --invoker-token-file"),
    (["--roles=invoker", "--controller=tls://127.0.0.1:1", "--controller-pin=12", "--invoker-token-file=TOKEN"], "--controller-pin"),
    (["--roles=invoker", "--controller=unix:/s", "--invoker-name=A_B"], "--invoker-name is 1 to 63"),
    (["--roles=invoker", "--controller=unix:/s", "--tags=pi"], "--tags is KEY=VALUE"),
    (["--roles=invoker", "--controller=unix:/s", "--invoker-token-file=/nowhere"], "/nowhere"),
    (["--roles=invoker", "--controller=unix:/s", "--invoker-token-file=OPEN"], "can be read by others"),
])
def test_mistakes(options, why, tmp_path):
    """One sentence that says what to do, exit status 1, and nothing is left."""
    token, open_one = tmp_path / "token", tmp_path / "open"
    token.write_text("t")
    token.chmod(0o600)
    open_one.write_text("t")
    open_one.chmod(0o644)
    words = [o.replace("TOKEN", str(token)).replace("OPEN", str(open_one)) for o in options]
    done = subprocess.run([BUILD / "naraed", *words, f"--data={tmp_path}/d", f"--run={tmp_path}/r", "--stems=off", "--network=none"],
                          capture_output=True, text=True, timeout=120 * SLOW, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1, done.stderr
    assert why in done.stderr, done.stderr
    assert last
