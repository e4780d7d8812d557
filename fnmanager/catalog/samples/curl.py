"""Gets what is at an address of the web."""
import urllib.error
import urllib.request

SECONDS, MAX_BYTES = 3, 500_000


def main(args):
    address = args.get("payload")
    if not isinstance(address, str) or not address:
        return {"error": "'payload' is missing: the address to get."}
    if "://" not in address:
        address = "http://" + address
    if not address.startswith(("http://", "https://")):
        return {"error": "'payload' must be an address of http or https."}
    print("getting", address)
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            return {"msg": answer.read(MAX_BYTES).decode(errors="replace")}
    except (OSError, ValueError) as e:
        print(e)
        return {"msg": str(e)}
