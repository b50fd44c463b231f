"""Reads the API's description: it is valid OpenAPI 3.1, every schema is one of JSON Schema 2020-12, and every example is
what its schema says.

    openapi_examples.py BASE_URL CA API_KEY
"""

import sys

import jsonschema_rs
import requests
import schemathesis

base, ca, _key = sys.argv[1:4]
document = requests.get(f"{base}/api/v1/openapi.json", verify=ca).json()
schemathesis.openapi.from_dict(document).validate()


def resolve(value):
    while isinstance(value, dict) and "$ref" in value:
        node = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        value = node
    return value


def check(schema, value, where):
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"], "allOf": [schema]}
    validator = jsonschema_rs.validator_for(whole, validate_formats=True)
    errors = [error.message for error in validator.iter_errors(value)]
    assert not errors, f"{where}: {errors}"


counted = 0


def examples(holder, where):
    global counted
    holder = resolve(holder)
    for name, example in holder.get("examples", {}).items():
        check(holder["schema"], resolve(example)["value"], f"{where}: {name}")
        counted += 1
    for value in holder["schema"].get("examples", []):
        check(holder["schema"], value, f"{where}: the schema's")
        counted += 1


for path, item in document["paths"].items():
    for method, operation in item.items():
        where = f"{method.upper()} {path}"
        for parameter in operation.get("parameters", []):
            assert parameter["description"] and parameter["examples"], f"{where}: {parameter['name']}"
            examples(parameter, f"{where}: {parameter['name']}")
        contents = dict(operation.get("requestBody", {}).get("content", {}))
        for status, response in operation["responses"].items():
            assert response["description"], f"{where}: {status}"
            for name, header in response["headers"].items():
                examples(header, f"{where}: {status}: {name}")
            for media_type, content in response.get("content", {}).items():
                contents[f"{status} {media_type}"] = content
        for name, content in contents.items():
            if "examples" in content and "multipart" not in name:
                examples(content, f"{where}: {name}")
for name, schema in document["components"]["schemas"].items():
    for member, value in schema.get("properties", {}).items():
        assert isinstance(value, bool) or resolve(value).get("description") or value.get("description") or "$ref" in value, f"{name}.{member} is not described"

print(counted, "examples")
