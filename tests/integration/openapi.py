"""The document of /narae/v1, and values judged by its schemas: the part of JSON Schema that the document uses."""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float), "integer": int}


class Document:
    def __init__(self, document):
        self.document = document

    def operations(self):
        """(method, path) of each."""
        return {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}

    def find(self, method, path):
        """The operation that a request is: its path as the document has it, and the operation."""
        path = path.split("?")[0]
        found = []
        for template, item in self.document["paths"].items():
            pattern = "/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/"))
            if re.fullmatch(pattern, path) and method.lower() in item:
                found.append((template.count("{"), template))
        assert found, f"the document does not tell of {method} {path}"
        template = min(found)[1]
        return template, self.document["paths"][template][method.lower()]

    def at(self, schema):
        while "$ref" in schema:
            value = self.document
            for key in schema["$ref"].removeprefix("#/").split("/"):
                value = value[key]
            schema = value
        return schema

    def problems(self, schema, value, where="$"):
        """What of a value is not as a schema says."""
        schema, found = self.at(schema), []
        for one in schema.get("allOf", []):
            found += self.problems(one, value, where)
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types and not any(isinstance(value, TYPES[t]) and (t == "boolean" or not isinstance(value, bool)) for t in types):
            return found + [f"{where} is {value!r}, not {' or '.join(types)}"]
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{where} is {value!r}, none of {schema['enum']}")
        if "minimum" in schema and isinstance(value, (int, float)) and value < schema["minimum"]:
            found.append(f"{where} is {value}, below {schema['minimum']}")
        if isinstance(value, dict):
            found += [f"{where} has no {key}" for key in schema.get("required", []) if key not in value]
            properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
            for key, one in value.items():
                if key in properties:
                    found += self.problems(properties[key], one, f"{where}.{key}")
                elif others is False:
                    found.append(f"{where}.{key} is not known")
                elif isinstance(others, dict):
                    found += self.problems(others, one, f"{where}.{key}")
        if isinstance(value, list) and "items" in schema:
            for i, one in enumerate(value):
                found += self.problems(schema["items"], one, f"{where}[{i}]")
        return found

    def judge(self, method, path, body, status, answer):
        """Problems of an exchange: its body, when it was taken, and its JSON answer."""
        _, operation = self.find(method, path)
        found = []
        if body is not None and status < 300:
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            found += self.problems(content["schema"], body, "body") if content else ["a body is not told of"]
        if str(status) not in operation["responses"]:
            return found + [f"status {status} is not told of"]
        response = self.at(operation["responses"][str(status)])
        schema = response["content"].get("application/json", {}).get("schema")
        return found + (self.problems(schema, answer) if schema else [])
