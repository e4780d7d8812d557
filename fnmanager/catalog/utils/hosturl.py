"""The address at which an action or a trigger of the caller's namespace is called."""
import os
from urllib.parse import quote

EXTENSIONS = (".json", ".text", ".html", ".svg", ".http")


def web(base, namespace, path, ext):
    if ext not in EXTENSIONS:
        return {"error": f"'ext' must be one of {', '.join(EXTENSIONS)}."}
    if not path:
        return {"url": f"{base}/web/{namespace}"}
    return {"url": f"{base}/web/{namespace}/" + ("" if "/" in path else "default/") + quote(path) + ext}


def main(args):
    host, path = os.environ.get("__OW_API_HOST"), args.get("path") or ""
    if not host:
        return {"error": "The platform does not tell functions its address: see its option --api-host."}
    base = host.rstrip("/") + "/api/v1"
    namespace = quote(os.environ["__OW_NAMESPACE"])
    if not isinstance(path, str):
        return {"error": "'path' must be a text."}
    if args.get("web") is True and args.get("trigger"):
        return {"error": "A trigger is no web action."}
    if args.get("web") is True:
        return web(base, namespace, path, args.get("ext") or ".json")
    if args.get("trigger") and "/" in path:
        return {"error": "A trigger is in no package."}
    collection = "triggers" if args.get("trigger") else "actions"
    return {"url": f"{base}/namespaces/{namespace}/{collection}" + (f"/{quote(path)}" if path else "")}
